-- When a licence's effect must be looked at again: at once after it was written past licensing's own
-- code, when its grace ends, or never.
alter table licensing.licenses add column review_at timestamptz not null default now();
create index licenses_review on licensing.licenses (review_at) where review_at < 'infinity';

-- What the free tier has, as the catalogue says.
alter table orgs.orgs alter column seats set default 5;

-- The organisation at Stripe, and how far its licence is in step.
create table licensing.customers (
    org_id          uuid primary key,
    customer_id     text        not null,
    subscription_id text        not null default '',
    created_at      timestamptz not null default now(),
    synced_at       timestamptz,
    failed_at       timestamptz,
    sync_error      text        not null default '',
    constraint customers_customer unique (customer_id)
);

-- Deliveries that were taken, so that a repeated one is nothing new.
create table licensing.stripe_events (
    id          text primary key,
    type        text        not null,
    customer_id text        not null,
    received_at timestamptz not null default now()
);
create index stripe_events_received on licensing.stripe_events (received_at);

-- Customers whose state at Stripe may not be ours. It knows no organisation: a customer may be seen
-- here before anybody knows whose it is.
create table licensing.sync_queue (
    customer_id  text primary key,
    generation   bigint      not null default 1,
    reason       text        not null check (reason in ('webhook', 'request', 'reconciliation')),
    priority     smallint    not null default 0,
    dirty_since  timestamptz not null default now(),
    due_at       timestamptz not null default now(),
    attempts     integer     not null default 0,
    lease        uuid,
    leased_until timestamptz,
    last_error   text
);
create index sync_queue_due on licensing.sync_queue (priority, due_at);

-- The platform's own word on a feature or limit, for everybody whose tier says nothing.
create table licensing.overrides (
    name       text primary key,
    value      text        not null,
    updated_at timestamptz not null default now()
);

-- How much was used of a limit, in one of its periods; bucket is when that began, '0001-01-01' for a
-- limit without periods. warned is the share, in percent, that the organisation was told of.
create table licensing.usage (
    org_id   uuid        not null,
    name     text        not null,
    bucket   timestamptz not null,
    used     bigint      not null default 0 check (used >= 0),
    reserved bigint      not null default 0 check (reserved >= 0),
    warned   smallint    not null default 0,
    primary key (org_id, name, bucket)
);

-- Units that are promised and not used yet.
create table licensing.reservations (
    org_id     uuid        not null,
    id         uuid        not null,
    name       text        not null,
    bucket     timestamptz not null,
    units      bigint      not null check (units > 0),
    expires_at timestamptz not null,
    primary key (org_id, id),
    foreign key (org_id, name, bucket) references licensing.usage (org_id, name, bucket) on delete cascade
);
create index reservations_expiry on licensing.reservations (org_id, name, bucket, expires_at);

alter table licensing.customers    enable row level security;
alter table licensing.customers    force row level security;
alter table licensing.usage        enable row level security;
alter table licensing.usage        force row level security;
alter table licensing.reservations enable row level security;
alter table licensing.reservations force row level security;

create policy tenant on licensing.customers    using (org_id = platform.current_org());
create policy tenant on licensing.usage        using (org_id = platform.current_org());
create policy tenant on licensing.reservations using (org_id = platform.current_org());
create policy platform on licensing.customers  using (platform.is_platform());

-- Licences that stand already count from now on.
select set_config('app.platform', 'on', true);
update orgs.orgs o set seats = coalesce((select l.seats from licensing.licenses l where l.org_id = o.id), 5) where seats = 3;
select set_config('app.platform', '', true);
