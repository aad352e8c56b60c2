-- A membership stays with its organisation when the person is erased, and says so: it takes no seat and
-- owns nothing. The platform marks those of one person, and sees them only while it says whose they are.
alter table orgs.memberships add column erased_at timestamptz;
create policy erasure on orgs.memberships using (
    platform.is_platform() and user_id = nullif(current_setting('app.erased_user', true), '')::uuid);
