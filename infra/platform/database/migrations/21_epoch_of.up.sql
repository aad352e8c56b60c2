-- Every request asks twice. A function in SQL is set up anew at each call unless its body can be inlined,
-- which one that reads a table cannot; PL/pgSQL keeps its plan.
create or replace function authz.epoch_of(subject uuid) returns bigint
    language plpgsql stable parallel safe
as $$
begin
    return coalesce((select e.epoch from authz.epochs e where e.subject = epoch_of.subject), 0) + 1;
end
$$;
