-- revision: d93b5e1f7a08
-- down revision: c7e4a90d5b62
-- message: settling charges
--
-- What takes a charge out of doubt: by itself, by sending the same request id again, or by an operator's word.

-- migrate: up

-- When a doubt is to be settled next (NULL: at once, if there is one), and how often that was tried.
ALTER TABLE charge ADD COLUMN settle_at timestamptz;
ALTER TABLE charge ADD COLUMN settle_count integer NOT NULL DEFAULT 0;
-- Since when nobody knows; NULL while in_doubt is false.
ALTER TABLE charge ADD COLUMN doubt_since timestamptz;
UPDATE charge SET doubt_since = lease_until WHERE in_doubt;

-- Whatever statement begins or ends a doubt. An attempt that died left its charge in doubt when its lease ended.
CREATE FUNCTION keep_doubt_since() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.doubt_since := CASE WHEN NEW.in_doubt THEN least(OLD.lease_until, clock_timestamp()) END;
    RETURN NEW;
END $$;
CREATE TRIGGER charge_doubt_since BEFORE UPDATE ON charge
    FOR EACH ROW WHEN (NEW.in_doubt <> OLD.in_doubt) EXECUTE FUNCTION keep_doubt_since();

-- Every charge of which nobody knows whether the platform made the order; those of deleted subscriptions too.
CREATE VIEW charge_doubt AS
SELECT c.id AS charge_id, c.subscription_id, c.period, c.request_id, coalesce(c.doubt_since, c.lease_until) AS since,
       c.settle_at, c.settle_count, c.retired_at
FROM charge c
WHERE c.state = 'unknown' OR (c.state = 'sending' AND (c.in_doubt OR c.lease_until <= clock_timestamp()));

-- As before, and an outcome that is still unknown says when to try next: after 1 and 5 and 30 minutes, 2 hours, then
-- daily.
CREATE OR REPLACE FUNCTION finish_charge(
    p_charge bigint, p_attempt integer, p_request varchar, p_outcome text, p_platform_status integer, p_order text,
    p_excerpt varchar,
    OUT charge_state text, OUT sent_request text, OUT charged timestamp, OUT recorded_order text
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO charge_event (charge_id, attempt, request_id, what, platform_status, excerpt)
    VALUES (p_charge, p_attempt, p_request, p_outcome, p_platform_status, p_excerpt);
    IF p_outcome = 'charged' THEN
        UPDATE charge c SET state = 'charged', request_id = p_request, charged_at = clock_timestamp(),
            platform_order = p_order, in_doubt = false, settle_at = NULL, settle_count = 0
        WHERE c.id = p_charge AND c.state <> 'charged';
    ELSE
        -- A refusal clears a doubt about the same request id, but for 400, 409 and 422: a platform says those also of an
        -- id that it has seen before or is still working on. What was not sent or not heard says nothing about an
        -- earlier attempt.
        WITH said AS (
            SELECT c.id, CASE
                WHEN p_outcome = 'declined' AND NOT (c.in_doubt AND p_platform_status IN (400, 409, 422)) THEN 'declined'
                WHEN p_outcome = 'released' AND NOT c.in_doubt THEN 'released'
                ELSE 'unknown' END AS state
            FROM charge c WHERE c.id = p_charge AND c.attempt = p_attempt AND c.state = 'sending'
            FOR UPDATE)
        UPDATE charge c SET
            state = said.state,
            in_doubt = said.state = 'unknown',
            settle_at = CASE WHEN said.state = 'unknown' THEN clock_timestamp() + coalesce(
                (ARRAY['1 minute', '5 minutes', '30 minutes', '2 hours']::interval[])[c.settle_count + 1], '1 day') END,
            settle_count = CASE WHEN said.state = 'unknown' THEN c.settle_count ELSE 0 END,
            lease_until = clock_timestamp()
        FROM said WHERE c.id = said.id;
    END IF;
    SELECT c.state, c.request_id, c.charged_at AT TIME ZONE 'UTC', c.platform_order
    INTO charge_state, sent_request, charged, recorded_order FROM charge c WHERE c.id = p_charge;
END $$;

-- Takes doubts that are due, the longest due first, for as long as a lease: send each and call finish_charge. The
-- subscription is not looked at: the order may exist whatever became of it. A request id that a deleted subscription
-- gave back and another charge took is left to an operator: its answer would say nothing about this charge.
CREATE FUNCTION claim_unsettled(p_limit integer, p_lease_milliseconds integer)
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

-- begin_charge for a platform to which nothing may be sent twice: what is in doubt stays so until an operator settles
-- it. Outcomes as of begin_charge, and in-doubt.
CREATE FUNCTION begin_charge_once(
    p_subscription varchar, p_request varchar, p_zone text, p_lease_milliseconds integer, p_only_watch boolean,
    OUT outcome text, OUT reason text, OUT charge_id bigint, OUT charge_period text, OUT charge_attempt integer,
    OUT sent_request text, OUT customer text, OUT sku integer, OUT charge_state text,
    OUT charged timestamp, OUT recorded_order text
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    open_charge charge;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('charge ' || p_subscription, 0));
    -- The month's own, and the one that a repeat of last month's request would settle.
    SELECT c.* INTO open_charge FROM charge c
    WHERE c.subscription_id = p_subscription AND c.retired_at IS NULL AND c.state IN ('sending', 'unknown')
        AND (c.period = billing_period(clock_timestamp(), p_zone)
             OR c.id = (SELECT r.charge_id FROM charge_request r WHERE r.request_id = p_request))
    ORDER BY c.state = 'unknown' DESC, c.lease_until LIMIT 1;
    IF open_charge.state = 'unknown' OR open_charge.lease_until <= clock_timestamp() THEN
        outcome := 'in-doubt';
        charge_id := open_charge.id;
        charge_period := open_charge.period;
        RETURN;
    END IF;
    -- A lease that ends between the look above and the one below must not be taken over either.
    SELECT b.* INTO outcome, reason, charge_id, charge_period, charge_attempt, sent_request, customer, sku,
        charge_state, charged, recorded_order
    FROM begin_charge(
        p_subscription, p_request, p_zone, p_lease_milliseconds, p_only_watch OR open_charge.id IS NOT NULL) b;
END $$;

-- What operators have decided; rows are only ever added.
CREATE TABLE charge_settlement (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_id bigint NOT NULL REFERENCES charge,
    outcome varchar(16) NOT NULL CHECK (outcome IN ('charged', 'not-charged')),
    -- The platform's order as JSON text.
    platform_order text CHECK ((platform_order IS NOT NULL) = (outcome = 'charged')),
    who varchar(128) NOT NULL CHECK (who <> ''),
    why varchar(1024) NOT NULL CHECK (why <> ''),
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX charge_settlement_charge ON charge_settlement (charge_id, id);
CREATE TRIGGER charge_settlement_append_only BEFORE UPDATE OR DELETE ON charge_settlement
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- An operator says what came of a charge: p_outcome is charged, with p_order, or not-charged. An order that is no JSON
-- is kept as a JSON string. Outcome:
--   settled
--   outcome-unknown-word, order-missing, order-not-allowed, who-missing, why-missing   nothing was looked at
--   charge-not-found, already-charged, attempt-running                                 nothing was changed
--   not-in-doubt      nothing was charged as it is: there is nothing to settle
CREATE FUNCTION settle_charge(
    p_charge bigint, p_outcome text, p_order text, p_who text, p_why text, OUT outcome text
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    found_charge charge;
    json_order text;
BEGIN
    outcome := CASE
        WHEN p_outcome IS NULL OR p_outcome NOT IN ('charged', 'not-charged') THEN 'outcome-unknown-word'
        WHEN p_outcome = 'charged' AND coalesce(btrim(p_order), '') = '' THEN 'order-missing'
        WHEN p_outcome = 'not-charged' AND p_order IS NOT NULL THEN 'order-not-allowed'
        WHEN coalesce(btrim(p_who), '') = '' THEN 'who-missing'
        WHEN coalesce(btrim(p_why), '') = '' THEN 'why-missing'
    END;
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT * INTO found_charge FROM charge c WHERE c.id = p_charge FOR UPDATE;
    outcome := CASE
        WHEN NOT FOUND THEN 'charge-not-found'
        WHEN found_charge.state = 'charged' THEN 'already-charged'
        WHEN found_charge.state = 'sending' AND found_charge.lease_until > clock_timestamp() THEN 'attempt-running'
        WHEN found_charge.state IN ('declined', 'released') AND p_outcome = 'not-charged' THEN 'not-in-doubt'
    END;
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    IF p_outcome = 'charged' THEN
        BEGIN
            json_order := p_order::json::text;
        EXCEPTION WHEN invalid_text_representation THEN
            json_order := to_json(p_order)::text;
        END;
    END IF;
    INSERT INTO charge_settlement (charge_id, outcome, platform_order, who, why)
    VALUES (p_charge, p_outcome, json_order, p_who, p_why);
    UPDATE charge c SET state = CASE p_outcome WHEN 'charged' THEN 'charged' ELSE 'declined' END,
        charged_at = CASE p_outcome WHEN 'charged' THEN clock_timestamp() END, platform_order = json_order,
        in_doubt = false, settle_at = NULL, settle_count = 0, lease_until = clock_timestamp()
    WHERE c.id = p_charge;
    outcome := 'settled';
END $$;

-- The last tick for which a scheduled function was run by one of its replicas.
CREATE TABLE schedule_run (
    function varchar(64) PRIMARY KEY,
    tick timestamptz NOT NULL
);

-- migrate: down

DROP TABLE schedule_run;
DROP FUNCTION settle_charge(bigint, text, text, text, text);
DROP TABLE charge_settlement;
DROP FUNCTION begin_charge_once(varchar, varchar, text, integer, boolean);
DROP FUNCTION claim_unsettled(integer, integer);
CREATE OR REPLACE FUNCTION finish_charge(
    p_charge bigint, p_attempt integer, p_request varchar, p_outcome text, p_platform_status integer, p_order text,
    p_excerpt varchar,
    OUT charge_state text, OUT sent_request text, OUT charged timestamp, OUT recorded_order text
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO charge_event (charge_id, attempt, request_id, what, platform_status, excerpt)
    VALUES (p_charge, p_attempt, p_request, p_outcome, p_platform_status, p_excerpt);
    IF p_outcome = 'charged' THEN
        UPDATE charge c SET state = 'charged', request_id = p_request, charged_at = clock_timestamp(),
            platform_order = p_order, in_doubt = false
        WHERE c.id = p_charge AND c.state <> 'charged';
    ELSE
        -- A refusal clears a doubt about the same request id, but for 400, 409 and 422: a platform says those also of an
        -- id that it has seen before or is still working on. What was not sent or not heard says nothing about an
        -- earlier attempt.
        UPDATE charge c SET
            state = CASE
                WHEN p_outcome = 'declined' AND NOT (c.in_doubt AND p_platform_status IN (400, 409, 422)) THEN 'declined'
                WHEN p_outcome = 'released' AND NOT c.in_doubt THEN 'released'
                ELSE 'unknown' END,
            in_doubt = p_outcome = 'unknown'
                OR c.in_doubt AND NOT (p_outcome = 'declined' AND p_platform_status NOT IN (400, 409, 422)),
            lease_until = clock_timestamp()
        WHERE c.id = p_charge AND c.attempt = p_attempt AND c.state = 'sending';
    END IF;
    SELECT c.state, c.request_id, c.charged_at AT TIME ZONE 'UTC', c.platform_order
    INTO charge_state, sent_request, charged, recorded_order FROM charge c WHERE c.id = p_charge;
END $$;
DROP VIEW charge_doubt;
DROP TRIGGER charge_doubt_since ON charge;
DROP FUNCTION keep_doubt_since();
ALTER TABLE charge DROP COLUMN doubt_since;
ALTER TABLE charge DROP COLUMN settle_count;
ALTER TABLE charge DROP COLUMN settle_at;
