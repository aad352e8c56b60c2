-- The audit log becomes a Merkle log for each organisation (and one for the platform, under the nil
-- UUID). A writer computes a leaf; a sequencer numbers the leaves without a gap, grows the tree and
-- signs checkpoints. Payloads may be pruned; what the hashes are made of here never is.

-- A person's personal values are sealed under their key. Erasing the person destroys the key and
-- leaves the row, so that what is still on its way is not sealed under a new one.
create table audit.person_keys (
    subject   uuid primary key,
    key       bytea check (octet_length(key) = 32),
    erased_at timestamptz,
    check ((key is null) = (erased_at is not null))
);

-- personal: path -> {subject, hash, sealed}; null, like leaf_hash, in what was written before.
alter table audit.events add column personal  jsonb;
alter table audit.events add column leaf_hash bytea check (octet_length(leaf_hash) = 32);

create index events_all        on audit.events (occurred_at desc, id desc);
create index events_actor      on audit.events (org_id, actor_id, occurred_at desc, id desc);
create index events_action     on audit.events (org_id, action, occurred_at desc, id desc);
create index events_resource   on audit.events (org_id, resource_id, occurred_at desc, id desc);
create index events_kind       on audit.events (org_id, resource_kind, occurred_at desc, id desc);
create index events_without_leaf on audit.events (org_id, id) where leaf_hash is null;

-- Leaves that have no number yet.
create table audit.pending (
    id          bigint generated always as identity primary key,
    org_id      uuid        not null,
    event_id    uuid        not null,
    leaf_hash   bytea       not null check (octet_length(leaf_hash) = 32),
    recorded_at timestamptz not null default now()
);
create index pending_org on audit.pending (org_id, id);

-- The tree: its leaves, numbered from 1, and the roots of every full subtree of 256^level leaves.
create table audit.leaves (
    org_id    uuid   not null,
    seq       bigint not null check (seq > 0),
    event_id  uuid   not null,
    leaf_hash bytea  not null check (octet_length(leaf_hash) = 32),
    primary key (org_id, seq),
    constraint leaves_event unique (org_id, event_id)
);

create table audit.nodes (
    org_id uuid     not null,
    level  smallint not null check (level > 0),
    n      bigint   not null check (n >= 0),
    hash   bytea    not null check (octet_length(hash) = 32),
    primary key (org_id, level, n)
);

-- One row a log: how far it is, the roots of the full subtrees at its right edge, its last checkpoint.
create table audit.logs (
    org_id     uuid primary key,
    size       bigint      not null check (size >= 0),
    root       bytea       not null check (octet_length(root) = 32),
    frontier   bytea       not null,
    checkpoint text        not null,
    signed_at  timestamptz not null,
    archived   bigint      not null default 0 -- size of the last checkpoint in the object store
);

-- How long an organisation keeps payloads, where that is not the default.
create table audit.retention (
    org_id uuid primary key,
    days   integer not null check (days > 0)
);

alter table audit.pending   enable row level security;
alter table audit.pending   force row level security;
alter table audit.leaves    enable row level security;
alter table audit.leaves    force row level security;
alter table audit.nodes     enable row level security;
alter table audit.nodes     force row level security;
alter table audit.logs      enable row level security;
alter table audit.logs      force row level security;
alter table audit.retention enable row level security;
alter table audit.retention force row level security;

create policy tenant on audit.pending   using (org_id = platform.current_org());
create policy tenant on audit.retention using (org_id = platform.current_org());
create policy tenant on audit.leaves    for select using (org_id = platform.current_org());
create policy tenant on audit.nodes     for select using (org_id = platform.current_org());
create policy tenant on audit.logs      for select using (org_id = platform.current_org());

create policy platform on audit.pending   using (platform.is_platform());
create policy platform on audit.retention using (platform.is_platform());
create policy platform on audit.leaves    using (platform.is_platform());
create policy platform on audit.nodes     using (platform.is_platform());
create policy platform on audit.logs      using (platform.is_platform());

create policy platform_log_change on audit.events for update using (
    org_id = '00000000-0000-0000-0000-000000000000' and platform.is_platform());
create policy platform_log_prune on audit.events for delete using (
    org_id = '00000000-0000-0000-0000-000000000000' and platform.is_platform());

-- Nobody changes what was recorded; retention alone removes payloads, and says so.
create function audit.refuse() returns trigger language plpgsql as $$
begin
    raise exception 'audit.% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end $$;

create trigger frozen before update on audit.events
    for each row when (old.leaf_hash is not null) execute function audit.refuse();
create trigger kept before delete on audit.events
    for each row when (current_setting('app.audit_prune', true) is distinct from 'on') execute function audit.refuse();
create trigger whole before truncate on audit.events execute function audit.refuse();
create trigger frozen before update or delete on audit.leaves for each row execute function audit.refuse();
create trigger whole before truncate on audit.leaves execute function audit.refuse();
create trigger frozen before update or delete on audit.nodes for each row execute function audit.refuse();
create trigger whole before truncate on audit.nodes execute function audit.refuse();
create trigger grows before update on audit.logs
    for each row when (new.size < old.size or new.org_id <> old.org_id) execute function audit.refuse();
create trigger kept before delete on audit.logs for each row execute function audit.refuse();
create trigger whole before truncate on audit.logs execute function audit.refuse();
