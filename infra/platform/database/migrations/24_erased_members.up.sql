-- A membership stays with its organisation when the person is erased, and says so: it takes no seat and
-- owns nothing. The platform marks those of one person, and sees them only while it says whose they are. It
-- neither adds any nor ends one.
alter table orgs.memberships add column erased_at timestamptz;
create policy erasure_read on orgs.memberships for select using (
    platform.is_platform() and user_id = nullif(current_setting('app.erased_user', true), '')::uuid);
create policy erasure on orgs.memberships for update using (
    platform.is_platform() and user_id = nullif(current_setting('app.erased_user', true), '')::uuid);
