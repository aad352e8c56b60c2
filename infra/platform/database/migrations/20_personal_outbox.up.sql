-- What is on its way to the log is not sealed yet. It stays until it has arrived, and arrives without
-- the data of whoever was erased meanwhile.
comment on column platform.outbox.payload is 'personal: events on their way to the log';
