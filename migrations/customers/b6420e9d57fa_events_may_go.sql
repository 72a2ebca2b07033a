-- revision: b6420e9d57fa
-- down revision: 8a5e3f0d71c2
-- message: events may go
--
-- Outside suites clear what they have written by deleting from every table that they find in the catalog, or by
-- truncating it. A table that refuses makes them lose the whole of their clean-up. So events may go, together with the
-- customers that they made; what is there is still never changed.

-- migrate: up

CREATE OR REPLACE FUNCTION refuse_to_change_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are never changed: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'Append an event that says what has changed.';
END $$;
DROP TRIGGER append_only ON customer_event;
CREATE TRIGGER unchanged BEFORE UPDATE ON customer_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_history();
ALTER TABLE customer_event ENABLE ALWAYS TRIGGER unchanged;

-- migrate: down

DROP TRIGGER unchanged ON customer_event;
CREATE OR REPLACE FUNCTION refuse_to_change_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are never changed or removed: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'Append an event that says what has changed.';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON customer_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_history();
ALTER TABLE customer_event ENABLE ALWAYS TRIGGER append_only;
