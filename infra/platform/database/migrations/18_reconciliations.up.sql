-- Every comparison of all licences with Stripe, and what it found to differ.
create table licensing.reconciliations (
    id          uuid primary key,
    started_at  timestamptz not null default now(),
    finished_at timestamptz,
    customers   bigint      not null, -- that were put in line
    drifted     bigint      not null default 0,
    unchecked   bigint      not null default 0 -- that Stripe did not answer about before the next one began
);
create unique index reconciliations_one_at_once on licensing.reconciliations ((finished_at is null)) where finished_at is null;

create table licensing.drifts (
    org_id            uuid        not null,
    reconciliation_id uuid        not null references licensing.reconciliations (id) on delete cascade,
    customer_id       text        not null,
    found_at          timestamptz not null default now(),
    before            jsonb       not null,
    after             jsonb       not null,
    primary key (org_id, reconciliation_id)
);
create index drifts_reconciliation on licensing.drifts (reconciliation_id, org_id);

alter table licensing.drifts enable row level security;
alter table licensing.drifts force row level security;
create policy tenant on licensing.drifts   using (org_id = platform.current_org());
create policy platform on licensing.drifts using (platform.is_platform());

-- What one organisation was granted of a limit, whatever its tier gives.
alter table licensing.licenses add column limits jsonb not null default '{}';
