-- Erasing a person takes the invitations to their address, wherever they are. The platform sees those
-- and no others, and only while it says whose address it is.
create policy erasure on orgs.invitations using (
    platform.is_platform() and email = nullif(current_setting('app.erased_email', true), ''));
create index invitations_email on orgs.invitations (email);
