-- A setting that was taken back keeps its row, so that its version never repeats.
create table orgs.settings (
    org_id     uuid        not null references orgs.orgs (id) on delete cascade,
    key        text        not null,
    value      jsonb,
    version    bigint      not null default 1,
    updated_at timestamptz not null default now(),
    primary key (org_id, key)
);

-- What platform staff set for every organisation. A lock takes the organisations' own values away.
create table orgs.global_settings (
    key        text primary key,
    value      jsonb,
    locked     boolean     not null default false,
    version    bigint      not null default 1,
    updated_at timestamptz not null default now()
);

alter table orgs.settings        enable row level security;
alter table orgs.settings        force row level security;
alter table orgs.global_settings enable row level security;
alter table orgs.global_settings force row level security;

create policy tenant   on orgs.settings        using (org_id = platform.current_org());
create policy anyone   on orgs.global_settings for select using (true);
create policy platform on orgs.global_settings using (platform.is_platform());
