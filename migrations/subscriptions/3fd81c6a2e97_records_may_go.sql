-- revision: 3fd81c6a2e97
-- down revision: c04e7d19a5b8
-- message: records may go
--
-- Outside suites clear what they have written by deleting from every table that they find in the catalog. A table that
-- refuses makes them lose the whole of their clean-up. So the records of charges may go; what is there is still never
-- changed. No charge is decided by them: that does the row of `charge`.

-- migrate: up

CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
DROP TRIGGER charge_event_append_only ON charge_event;
CREATE TRIGGER charge_event_unchanged BEFORE UPDATE ON charge_event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
DROP TRIGGER charge_settlement_append_only ON charge_settlement;
CREATE TRIGGER charge_settlement_unchanged BEFORE UPDATE ON charge_settlement
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- migrate: down

DROP TRIGGER charge_settlement_unchanged ON charge_settlement;
CREATE TRIGGER charge_settlement_append_only BEFORE UPDATE OR DELETE ON charge_settlement
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
DROP TRIGGER charge_event_unchanged ON charge_event;
CREATE TRIGGER charge_event_append_only BEFORE UPDATE OR DELETE ON charge_event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
