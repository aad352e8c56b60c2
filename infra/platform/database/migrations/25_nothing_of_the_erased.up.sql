-- What came back of erased organisations while their customers at Stripe could bring it back.
do $$
declare
    erased uuid;
begin
    perform set_config('app.platform', 'on', true);
    update orgs.orgs set license_tier = 'free', feature_flags = '{}', seats = null where erased_at is not null;
    for erased in select id from orgs.orgs where erased_at is not null loop
        perform set_config('app.org_id', erased::text, true);
        delete from licensing.usage     where org_id = erased;
        delete from licensing.drifts    where org_id = erased;
        delete from licensing.customers where org_id = erased;
        delete from licensing.licenses  where org_id = erased;
    end loop;
    perform set_config('app.org_id', '', true);
    perform set_config('app.platform', '', true);
end $$;

-- A limit has a most now, which can be counted and told. What was said beyond it means as much as there is.
update licensing.overrides set value = '1000000000000' where value ~ '^[0-9]{13,}$' and value::numeric > 1000000000000;
