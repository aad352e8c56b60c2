-- The archive of checkpoints outside tells one database from another by this.
create table audit.instance (id uuid primary key);
insert into audit.instance values (gen_random_uuid());
create unique index instance_single on audit.instance ((true));
