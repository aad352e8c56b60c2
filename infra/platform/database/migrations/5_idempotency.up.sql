-- Answers to keyed writes, each committed with its effect. Both ids are hashes of the caller's key, and
-- the answer is encrypted under it: whoever reads this table learns neither.
create schema edge;

create table edge.idempotency_keys (
    id          bytea primary key,
    fingerprint bytea       not null,
    answer      bytea       not null,
    created_at  timestamptz not null default now()
);
create index idempotency_keys_age on edge.idempotency_keys (created_at);
