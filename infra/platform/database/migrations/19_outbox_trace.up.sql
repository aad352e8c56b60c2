-- What a message carries on: W3C traceparent of the step that caused it, where that is traced.
alter table platform.outbox add column traceparent text;
