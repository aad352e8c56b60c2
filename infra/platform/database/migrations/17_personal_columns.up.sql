-- What is personal data is said where it lies. A comment that begins with "personal:" marks a column
-- whose values are about a person; what people write freely is marked as free text. Whatever erases,
-- exports or redacts by column reads these from the catalogue.
comment on column identity.users.subject           is 'personal: identifier at the issuer; stays, so that an erased person stays refused';
comment on column identity.users.email             is 'personal: e-mail address';
comment on column identity.users.username          is 'personal: user name';
comment on column identity.users.name              is 'personal: name';
comment on column identity.revocations.value       is 'personal: identifier at the issuer; goes when the tokens it refuses would have expired';
comment on column identity.impersonations.reason   is 'personal: free text';
comment on column identity.impersonations.ticket   is 'personal: free text';
comment on column orgs.invitations.email           is 'personal: e-mail address';
comment on column orgs.projects.title              is 'personal: free text';
comment on column orgs.projects.body               is 'personal: free text';
comment on column orgs.docs.title                  is 'personal: free text';
comment on column orgs.docs.body                   is 'personal: free text';
comment on column orgs.patient_records.title       is 'personal: free text';
comment on column orgs.patient_records.body        is 'personal: free text';
comment on column orgs.patient_records.patient_ref is 'personal: how the organisation calls a patient';
comment on column orgs.orgs.hold_reason            is 'personal: free text';
comment on column audit.events.ip                  is 'personal: network address';
comment on column audit.events.personal            is 'personal: sealed under the key of the person they are about';
