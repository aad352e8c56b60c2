-- Messages of one key are published one after the other, in the order of seq.
alter table platform.outbox add column key text;
alter table platform.outbox add column seq bigint generated always as identity;
create index outbox_key on platform.outbox (topic, key, seq) where key is not null and dead_at is null;
