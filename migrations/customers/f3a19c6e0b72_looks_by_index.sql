-- revision: f3a19c6e0b72
-- down revision: b6420e9d57fa
-- message: looks by index
--
-- What counts and purges events walked through whole tables for a few rows; it asks an index now.

-- migrate: up

-- No relay and no consumer asks for what nobody wanted, so the index costs them nothing; whoever counts it had to read
-- a week of sent events.
CREATE INDEX outbox_unroutable ON outbox (position) WHERE state = 'unroutable';
-- Ranges of blocks keep their least date when the space of purged rows is used again, so the purge came to read all.
DROP INDEX inbox_received_at;
CREATE INDEX inbox_received_at ON inbox (received_at);

-- migrate: down

DROP INDEX inbox_received_at;
CREATE INDEX inbox_received_at ON inbox USING brin (received_at);
DROP INDEX outbox_unroutable;
