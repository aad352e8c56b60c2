-- A counter for every organisation and every user, bumped by whatever changes what they may do. It
-- holds no tenant's data, only how often something changed.
create schema authz;

create table authz.epochs (
    subject uuid primary key,
    epoch   bigint not null
);

-- What the licence says, as far as memberships need it; licensing writes it. Null is no limit.
alter table orgs.orgs add column seats integer default 3 check (seats > 0);
