-- revision: a93e57d0c418
-- down revision: d93b5e1f7a08
-- message: charge safeguards
--
-- What keeps a charge safe from a subscription that is deleted at the same instant, from a server that confirms commits
-- before they are on disk, and from a doubt that ends every process that settles it.

-- migrate: up

-- A new charge holds its subscription until it is committed: a DELETE that comes meanwhile waits, then sees the charge
-- and retires it. Otherwise the charge of a subscription just deleted would decide for the one inserted again under the
-- same id. SECURITY DEFINER: FOR KEY SHARE asks for the right to update. 40001 stands for: nothing was done, ask again.
CREATE FUNCTION hold_charged_subscription() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM FROM subscription s WHERE s.id = NEW.subscription_id FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'subscription % was deleted at this moment', NEW.subscription_id
            USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER charge_holds_subscription BEFORE INSERT ON charge
    FOR EACH ROW WHEN (NEW.state = 'sending' AND NEW.retired_at IS NULL) EXECUTE FUNCTION hold_charged_subscription();

-- Where synchronous_commit is off for speed, a crash of PostgreSQL would take back a committed row after its order was
-- sent, and with it the request id that is pinned.
CREATE FUNCTION commit_charge_durably() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER charge_commits_durably BEFORE INSERT OR UPDATE ON charge
    FOR EACH STATEMENT EXECUTE FUNCTION commit_charge_durably();

-- As before, and the time of the next try is written with the claim: a doubt whose settling ends the process, or cannot
-- be recorded, backs off like any other and does not come first every time.
CREATE OR REPLACE FUNCTION claim_unsettled(p_limit integer, p_lease_milliseconds integer)
RETURNS TABLE (
    charge_id bigint, charge_attempt integer, subscription text, charge_period text, sent_request text, customer text,
    sku integer
) LANGUAGE sql VOLATILE AS $$
    WITH due AS (
        SELECT c.id FROM charge c
        WHERE c.state IN ('sending', 'unknown')
            AND coalesce(c.settle_at <= clock_timestamp(), true)
            AND (c.state = 'unknown' OR c.lease_until <= clock_timestamp())
            AND NOT EXISTS (SELECT FROM charge_request r WHERE r.request_id = c.request_id AND r.charge_id <> c.id)
        ORDER BY coalesce(c.settle_at, c.lease_until), c.id
        LIMIT p_limit FOR UPDATE SKIP LOCKED),
    claimed AS (
        UPDATE charge c SET state = 'sending', attempt = c.attempt + 1, in_doubt = true,
            settle_count = c.settle_count + 1,
            settle_at = clock_timestamp() + coalesce(
                (ARRAY['5 minutes', '30 minutes', '2 hours']::interval[])[c.settle_count + 1], '1 day'),
            lease_until = clock_timestamp() + p_lease_milliseconds * interval '1 millisecond'
        FROM due WHERE c.id = due.id RETURNING c.*),
    written AS (
        INSERT INTO charge_event (charge_id, attempt, request_id, what)
        SELECT c.id, c.attempt, c.request_id, 'begun' FROM claimed c)
    SELECT c.id, c.attempt, c.subscription_id, c.period, c.request_id, c.customer_id, c.sku_id FROM claimed c
$$;

-- migrate: down

CREATE OR REPLACE FUNCTION claim_unsettled(p_limit integer, p_lease_milliseconds integer)
RETURNS TABLE (
    charge_id bigint, charge_attempt integer, subscription text, charge_period text, sent_request text, customer text,
    sku integer
) LANGUAGE sql VOLATILE AS $$
    WITH due AS (
        SELECT c.id FROM charge c
        WHERE c.state IN ('sending', 'unknown')
            AND CASE c.state WHEN 'unknown' THEN coalesce(c.settle_at <= clock_timestamp(), true)
                             ELSE c.lease_until <= clock_timestamp() END
            AND NOT EXISTS (SELECT FROM charge_request r WHERE r.request_id = c.request_id AND r.charge_id <> c.id)
        ORDER BY coalesce(c.settle_at, c.lease_until), c.id
        LIMIT p_limit FOR UPDATE SKIP LOCKED),
    claimed AS (
        UPDATE charge c SET state = 'sending', attempt = c.attempt + 1, in_doubt = true,
            settle_count = c.settle_count + 1,
            lease_until = clock_timestamp() + p_lease_milliseconds * interval '1 millisecond'
        FROM due WHERE c.id = due.id RETURNING c.*),
    written AS (
        INSERT INTO charge_event (charge_id, attempt, request_id, what)
        SELECT c.id, c.attempt, c.request_id, 'begun' FROM claimed c)
    SELECT c.id, c.attempt, c.subscription_id, c.period, c.request_id, c.customer_id, c.sku_id FROM claimed c
$$;
DROP TRIGGER charge_commits_durably ON charge;
DROP FUNCTION commit_charge_durably();
DROP TRIGGER charge_holds_subscription ON charge;
DROP FUNCTION hold_charged_subscription();
