-- What ends a credential before its time, and the credentials that are the app's own.

-- Platform roles come only with tokens for the platform's console, so they are dated on their own.
alter table identity.users add column platform_roles text[] not null default '{}';
alter table identity.users add column platform_roles_at timestamptz not null default 'epoch';

create index users_email_prefix    on identity.users (lower(email) text_pattern_ops);
create index users_username_prefix on identity.users (lower(username) text_pattern_ops);

-- A rule refuses tokens: of one session (sid), one token (jti), or of a subject (sub) when issued
-- before a moment. It lives as long as a token that it refuses could.
create table identity.revocations (
    issuer        text        not null,
    kind          text        not null check (kind in ('sid', 'jti', 'sub')),
    value         text        not null,
    issued_before timestamptz not null,
    expires_at    timestamptz not null,
    primary key (issuer, kind, value)
);
create index revocations_expiry on identity.revocations (expires_at);

-- Logout tokens that were seen: none is taken twice.
create table identity.logout_tokens (
    issuer     text        not null,
    jti        text        not null,
    expires_at timestamptz not null,
    primary key (issuer, jti)
);
create index logout_tokens_expiry on identity.logout_tokens (expires_at);

-- Keys of machine callers; only hashes of them. A rotated key's old secret works until previous_until.
create table identity.api_keys (
    org_id         uuid        not null,
    id             uuid        not null,
    name           text        not null,
    org_roles      text[]      not null check (org_roles <@ array['owner', 'admin', 'billing', 'auditor', 'member', 'guest'] and cardinality(org_roles) > 0),
    hash           bytea       not null,
    prefix         text        not null,
    previous_hash  bytea,
    previous_until timestamptz,
    created_by     uuid        not null references identity.users (id),
    created_at     timestamptz not null default now(),
    expires_at     timestamptz not null,
    last_used_at   timestamptz,
    revoked_at     timestamptz,
    primary key (org_id, id),
    constraint api_keys_hash unique (org_id, hash)
);
create index api_keys_previous on identity.api_keys (org_id, previous_hash) where previous_hash is not null;

-- Platform staff acting as somebody, in one organisation and for a while.
create table identity.impersonations (
    org_id          uuid        not null,
    id              uuid        not null,
    user_id         uuid        not null references identity.users (id),
    impersonator_id uuid        not null references identity.users (id),
    hash            bytea       not null,
    reason          text        not null,
    ticket          text        not null,
    write           boolean     not null,
    approved_by     uuid references identity.users (id),
    approved_at     timestamptz,
    created_at      timestamptz not null default now(),
    expires_at      timestamptz not null,
    ended_at        timestamptz,
    ended_by        uuid,
    primary key (org_id, id),
    constraint impersonations_hash unique (org_id, hash),
    constraint impersonations_not_oneself check (user_id <> impersonator_id),
    constraint impersonations_two_people check (approved_by <> impersonator_id)
);
create unique index impersonations_id on identity.impersonations (id);

alter table identity.api_keys       enable row level security;
alter table identity.api_keys       force row level security;
alter table identity.impersonations enable row level security;
alter table identity.impersonations force row level security;

create policy tenant   on identity.api_keys       using (org_id = platform.current_org());
create policy tenant   on identity.impersonations using (org_id = platform.current_org());
create policy platform on identity.impersonations using (platform.is_platform());
