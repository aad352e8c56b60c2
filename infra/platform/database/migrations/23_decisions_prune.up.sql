-- Retention removes decisions with the last event that names them, in the platform's own log as well.
create policy platform_prune on authz.decisions for delete using (
    org_id = '00000000-0000-0000-0000-000000000000' and platform.is_platform());
