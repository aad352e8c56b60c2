-- Where organisations have their audit events delivered to. next_seq is a cursor over the log: what is
-- before it has its delivery, or is not wanted.
create table audit.sinks (
    org_id           uuid        not null,
    id               uuid        not null,
    url              text        not null,
    events           text[]      not null default '{}',
    secret           bytea       not null,
    old_secret       bytea,
    old_secret_until timestamptz,
    enabled          boolean     not null default true,
    disabled_reason  text        not null default '',
    next_seq         bigint      not null check (next_seq > 0),
    failures         integer     not null default 0,
    failing_since    timestamptz,
    open_until       timestamptz,
    version          bigint      not null default 1,
    created_at       timestamptz not null default now(),
    updated_at       timestamptz not null default now(),
    primary key (org_id, id)
);

-- One event for one sink. due_at is when it may be sent (again), whoever had it before; lease tells
-- them apart.
create table audit.deliveries (
    org_id          uuid        not null,
    id              uuid        not null,
    sink_id         uuid        not null,
    event_id        uuid        not null,
    seq             bigint      not null,
    state           text        not null default 'pending'
                                check (state in ('pending', 'queued', 'running', 'retrying', 'delivered', 'failed')),
    lease           integer     not null default 0,
    due_at          timestamptz not null default now(),
    attempts        integer     not null default 0,
    response_status integer,
    error           text        not null default '',
    duration_ms     integer,
    created_at      timestamptz not null default now(),
    first_failed_at timestamptz,
    last_attempt_at timestamptz,
    delivered_at    timestamptz,
    primary key (org_id, id),
    constraint deliveries_event unique (org_id, sink_id, event_id),
    foreign key (org_id, sink_id) references audit.sinks (org_id, id) on delete cascade
);
create index deliveries_due on audit.deliveries (org_id, sink_id, due_at, seq)
    where state in ('pending', 'queued', 'running', 'retrying');
create index deliveries_newest on audit.deliveries (org_id, sink_id, id desc);
create index deliveries_old on audit.deliveries (created_at) where state in ('delivered', 'failed');

alter table audit.sinks      enable row level security;
alter table audit.sinks      force row level security;
alter table audit.deliveries enable row level security;
alter table audit.deliveries force row level security;

create policy tenant on audit.sinks      using (org_id = platform.current_org());
create policy tenant on audit.deliveries using (org_id = platform.current_org());

-- Background work delivers for all of them.
create policy platform on audit.sinks      using (platform.is_platform());
create policy platform on audit.deliveries using (platform.is_platform());

-- What the broker gave up.
create table platform.dead_letters (
    queue           text        not null,
    id              text        not null,
    body            jsonb       not null,
    reason          text        not null,
    error           text        not null,
    attempts        integer     not null,
    first_failed_at timestamptz not null,
    died_at         timestamptz not null,
    primary key (queue, id)
);
create index dead_letters_newest on platform.dead_letters (queue, died_at desc, id desc);
