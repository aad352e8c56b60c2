-- Documents and patient records stand beside projects, with the same columns and rules.
create table orgs.docs (
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

create table orgs.patient_records (
    org_id       uuid        not null references orgs.orgs (id) on delete cascade,
    id           uuid        not null,
    team_id      uuid,
    owner_id     uuid        not null,
    title        text        not null,
    body         text        not null default '',
    sensitivity  text        not null check (sensitivity in ('public', 'internal', 'confidential', 'restricted')),
    pii          boolean     not null,
    patient_ref  text        not null,
    clinician_id uuid        not null,
    version      bigint      not null default 1,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    deleted_at   timestamptz,
    primary key (org_id, id),
    foreign key (org_id, team_id) references orgs.teams (org_id, id)
);

-- A team can be looked for by what it owns, when it is to be deleted.
create index projects_team        on orgs.projects        (org_id, team_id) where team_id is not null;
create index docs_team            on orgs.docs            (org_id, team_id) where team_id is not null;
create index patient_records_team on orgs.patient_records (org_id, team_id) where team_id is not null;

-- An invitation confers roles on whoever proves its token and its address. Only the token's hash is
-- kept. One that is past its time counts as expired whatever its status still says.
create table orgs.invitations (
    org_id      uuid        not null references orgs.orgs (id) on delete cascade,
    id          uuid        not null,
    email       text        not null check (email = lower(email)),
    org_roles   text[]      not null check (org_roles <@ array['owner', 'admin', 'billing', 'auditor', 'member', 'guest'] and cardinality(org_roles) > 0),
    team_ids    uuid[]      not null default '{}',
    token_hash  bytea       not null check (length(token_hash) = 32),
    status      text        not null default 'pending' check (status in ('pending', 'accepted', 'revoked', 'expired')),
    invited_by  uuid        not null,
    accepted_by uuid,
    expires_at  timestamptz not null,
    version     bigint      not null default 1,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    primary key (org_id, id),
    constraint invitations_token unique (org_id, token_hash)
);
create unique index invitations_pending on orgs.invitations (org_id, email) where status = 'pending';

alter table orgs.docs            enable row level security;
alter table orgs.docs            force row level security;
alter table orgs.patient_records enable row level security;
alter table orgs.patient_records force row level security;
alter table orgs.invitations     enable row level security;
alter table orgs.invitations     force row level security;

create policy tenant on orgs.docs            using (org_id = platform.current_org());
create policy tenant on orgs.patient_records using (org_id = platform.current_org());
create policy tenant on orgs.invitations     using (org_id = platform.current_org());
