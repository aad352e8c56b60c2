-- One database, one schema a service: a change, its audit event and its outbox row commit together,
-- and no service reads another's schema.
--
-- Every tenant table is under row-level security that is FORCEd, so that it binds the owner too.
-- The context is set per transaction: app.org_id, app.user_id, app.platform. Unset means no rows.

create schema platform;
create schema identity;
create schema orgs;
create schema licensing;
create schema audit;

create function platform.current_org() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('app.org_id', true), '')::uuid;

create function platform.current_user_id() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('app.user_id', true), '')::uuid;

create function platform.is_platform() returns boolean
    language sql stable parallel safe
    return coalesce(current_setting('app.platform', true) = 'on', false);

-- Messages on their way to a topic. due_at is when a relay may publish (again); the consumer
-- deletes the row with its effect.
create table platform.outbox (
    id         uuid primary key,
    topic      text        not null,
    payload    jsonb       not null,
    created_at timestamptz not null default now(),
    due_at     timestamptz not null default now(),
    attempts   integer     not null default 0,
    dead_at    timestamptz,
    last_error text
);
create index outbox_due on platform.outbox (due_at, id) where dead_at is null;

-- Everyone who ever signed in, by issuer and subject; never by e-mail.
create table identity.users (
    id             uuid primary key,
    issuer         text        not null,
    subject        text        not null,
    email          text        not null,
    email_verified boolean     not null,
    username       text        not null,
    name           text        not null,
    status         text        not null default 'active' check (status in ('active', 'disabled', 'erased')),
    claims_at      timestamptz not null default 'epoch', -- the profile is from claims issued then
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now(),
    constraint users_issuer_subject unique (issuer, subject)
);

create table orgs.orgs (
    id            uuid primary key,
    slug          text        not null check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    name          text        not null,
    status        text        not null default 'active' check (status in ('active', 'suspended')),
    license_tier  text        not null default 'free' check (license_tier in ('free', 'pro', 'enterprise')),
    feature_flags jsonb       not null default '{}',
    version       bigint      not null default 1,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    constraint orgs_slug unique (slug)
);

create table orgs.memberships (
    org_id     uuid        not null references orgs.orgs (id) on delete cascade,
    user_id    uuid        not null,
    org_roles  text[]      not null check (org_roles <@ array['owner', 'admin', 'billing', 'auditor', 'member', 'guest'] and cardinality(org_roles) > 0),
    version    bigint      not null default 1,
    created_at timestamptz not null default now(),
    primary key (org_id, user_id)
);
create index memberships_user on orgs.memberships (user_id, org_id);

create table orgs.teams (
    org_id     uuid        not null references orgs.orgs (id) on delete cascade,
    id         uuid        not null,
    name       text        not null,
    version    bigint      not null default 1,
    created_at timestamptz not null default now(),
    primary key (org_id, id),
    constraint teams_name unique (org_id, name)
);

create table orgs.team_memberships (
    org_id     uuid        not null,
    team_id    uuid        not null,
    user_id    uuid        not null,
    team_roles text[]      not null check (team_roles <@ array['lead', 'member'] and cardinality(team_roles) > 0),
    created_at timestamptz not null default now(),
    primary key (org_id, team_id, user_id),
    foreign key (org_id, team_id) references orgs.teams (org_id, id) on delete cascade,
    foreign key (org_id, user_id) references orgs.memberships (org_id, user_id) on delete cascade
);
create index team_memberships_user on orgs.team_memberships (user_id, org_id);

create table orgs.projects (
    org_id      uuid        not null references orgs.orgs (id) on delete cascade,
    id          uuid        not null,
    team_id     uuid,
    owner_id    uuid        not null,
    title       text        not null,
    body        text        not null default '',
    sensitivity text        not null check (sensitivity in ('public', 'internal', 'confidential', 'restricted')),
    pii         boolean     not null,
    version     bigint      not null default 1,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    deleted_at  timestamptz,
    primary key (org_id, id),
    foreign key (org_id, team_id) references orgs.teams (org_id, id)
);

create table licensing.licenses (
    org_id        uuid primary key,
    tier          text        not null check (tier in ('free', 'pro', 'enterprise')),
    feature_flags jsonb       not null default '{}',
    seats         integer     not null check (seats > 0),
    valid_until   timestamptz,
    source        text        not null check (source in ('default', 'manual', 'stripe')),
    version       bigint      not null default 1,
    updated_at    timestamptz not null default now()
);

-- org_id is the nil UUID in the platform's own log.
create table audit.events (
    org_id          uuid        not null,
    id              uuid        not null,
    occurred_at     timestamptz not null,
    recorded_at     timestamptz not null default now(),
    actor_id        text        not null,
    actor_type      text        not null,
    impersonator_id text        not null,
    action          text        not null,
    resource_kind   text        not null,
    resource_id     text        not null,
    outcome         text        not null check (outcome in ('allowed', 'denied', 'succeeded', 'failed')),
    request_id      text        not null,
    decision_id     text        not null,
    policy_version  text        not null,
    ip              text        not null,
    changes         jsonb       not null,
    primary key (org_id, id)
);

create index events_newest on audit.events (org_id, occurred_at desc, id desc);

alter table orgs.orgs              enable row level security;
alter table orgs.orgs              force row level security;
alter table orgs.memberships       enable row level security;
alter table orgs.memberships       force row level security;
alter table orgs.teams             enable row level security;
alter table orgs.teams             force row level security;
alter table orgs.team_memberships  enable row level security;
alter table orgs.team_memberships  force row level security;
alter table orgs.projects          enable row level security;
alter table orgs.projects          force row level security;
alter table licensing.licenses     enable row level security;
alter table licensing.licenses     force row level security;
alter table audit.events           enable row level security;
alter table audit.events           force row level security;

create policy tenant on orgs.projects          using (org_id = platform.current_org());
create policy tenant on orgs.teams             using (org_id = platform.current_org());
create policy tenant on licensing.licenses     using (org_id = platform.current_org());
create policy tenant on audit.events           using (org_id = platform.current_org());
create policy tenant on orgs.orgs              using (id = platform.current_org());
create policy tenant on orgs.memberships       using (org_id = platform.current_org());
create policy tenant on orgs.team_memberships  using (org_id = platform.current_org());

-- A user may see where they belong, without having to name the organisation.
create policy own on orgs.memberships      for select using (user_id = platform.current_user_id());
create policy own on orgs.team_memberships for select using (user_id = platform.current_user_id());
create policy own on orgs.orgs             for select using (
    id in (select m.org_id from orgs.memberships m where m.user_id = platform.current_user_id()));

-- Platform staff administer organisations and read every log; they never read resources.
create policy platform on orgs.orgs          using (platform.is_platform());
create policy platform on licensing.licenses using (platform.is_platform());
create policy platform on audit.events       for select using (platform.is_platform());

-- The platform's own log.
create policy platform_log on audit.events for insert with check (
    org_id = '00000000-0000-0000-0000-000000000000' and platform.is_platform());
