-- Platform staff look an event up by its id alone.
alter table audit.leaves drop constraint leaves_event;
alter table audit.leaves add constraint leaves_event unique (event_id);
