-- Payloads up to this number are gone: retention goes on from there.
alter table audit.logs add column pruned bigint not null default 0;

-- How long payloads are kept is a setting; the log asks for it.
drop table audit.retention;
