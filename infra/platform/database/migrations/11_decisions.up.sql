-- The counter of a subject; one that was never bumped stands at 1, so that 0 can mean "not read".
create function authz.epoch_of(subject uuid) returns bigint
    language sql stable parallel safe
    return coalesce((select e.epoch from authz.epochs e where e.subject = epoch_of.subject), 0) + 1;

-- What the audit log's decision ids stand for: who asked what, and what the policies said.
create table authz.decisions (
    org_id        uuid        not null, -- the nil UUID where the event is the platform's
    decision_id   text        not null,
    resource_kind text        not null,
    resource_id   text        not null,
    action        text        not null,
    decided_at    timestamptz not null default now(),
    allowed       boolean     not null,
    principal     jsonb       not null, -- id, roles, attributes: nothing that names a person
    resource      jsonb       not null, -- attributes
    reasons       text[]      not null,
    policy        text        not null,
    rules         text[]      not null,
    derived_roles text[]      not null,
    digest        text        not null,
    cached        text        not null,
    primary key (org_id, decision_id, resource_kind, resource_id, action)
);
create index decisions_id on authz.decisions (decision_id);

alter table authz.decisions enable row level security;
alter table authz.decisions force row level security;

create policy tenant   on authz.decisions using (org_id = platform.current_org());
create policy platform on authz.decisions for select using (platform.is_platform());
-- Written beside the event that names it, in whatever scope that transaction has.
create policy record   on authz.decisions for insert with check (true);
