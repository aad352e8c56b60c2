-- What replicas seal the answers with that they leave each other in Redis: whoever can write there and
-- cannot read here makes no answer that is believed.
create table authz.cache_key (
    one boolean primary key default true check (one),
    key bytea not null
);
