-- The way out: suspended, exported, then held or erased. A trigger dates the suspension, so that
-- whatever suspends an organisation dates it.
alter table orgs.orgs
    add column suspended_at timestamptz,
    add column exported_at  timestamptz, -- the last export that saw it suspended
    add column held_at      timestamptz, -- under legal hold since
    add column hold_reason  text not null default '',
    add column erased_at    timestamptz,
    add constraint orgs_erased_for_good check (erased_at is null or status = 'suspended');

create function orgs.date_suspension() returns trigger language plpgsql as $$
begin
    if new.status = 'active' then
        new.suspended_at := null;
        new.exported_at  := null;
    elsif old.status = 'active' then
        new.suspended_at := clock_timestamp();
    end if;
    return new;
end $$;

create trigger date_suspension before update of status on orgs.orgs
    for each row execute function orgs.date_suspension();

update orgs.orgs set suspended_at = updated_at where status = 'suspended';
