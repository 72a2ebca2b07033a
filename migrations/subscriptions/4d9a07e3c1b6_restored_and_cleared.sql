-- revision: 4d9a07e3c1b6
-- down revision: f06d2b8a51c7
-- message: restored and cleared
--
-- A backup that is restored while an order is out gives the number of its charge to another subscription's, which took
-- the order for its own and was never charged. And an order's id that an operator gives was read as JSON where it could
-- be: 5e12 became the number 5000000000000 in whoever read the receipt.
--
-- And who cleared a database by deleting from every table in it could be ended for a deadlock with a reader who settled.

-- migrate: up

-- As before, but what comes of a request id that the charge has never had is refused, as for a charge that is gone.
CREATE OR REPLACE FUNCTION finish_charge(
    p_charge bigint, p_attempt integer, p_request varchar, p_outcome text, p_platform_status integer, p_order text,
    p_excerpt varchar,
    OUT charge_state text, OUT sent_request text, OUT charged timestamp, OUT recorded_order text
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM charge c WHERE c.id = p_charge AND c.request_id = p_request)
            AND NOT EXISTS (SELECT FROM charge_event e WHERE e.charge_id = p_charge AND e.request_id = p_request) THEN
        RAISE foreign_key_violation USING
            MESSAGE = format('charge %s has not sent request id %s', p_charge, p_request),
            TABLE = 'charge_event', CONSTRAINT = 'charge_event_charge_id_fkey';
    END IF;
    INSERT INTO charge_event (charge_id, attempt, request_id, what, platform_status, excerpt)
    VALUES (p_charge, p_attempt, p_request, p_outcome, p_platform_status, p_excerpt);
    IF p_outcome = 'charged' THEN
        UPDATE charge c SET state = 'charged', request_id = p_request, charged_at = clock_timestamp(),
            platform_order = p_order, in_doubt = false, settle_at = NULL, settle_count = 0
        WHERE c.id = p_charge AND c.state <> 'charged';
    ELSE
        -- Of refusals only 402 ends a doubt about the same request id: who speaks of the money knows the order. 400,
        -- 409 and 422 are said also of an id that was seen before or is still worked on, 404 and 410 also by what
        -- answers in the platform's place. What was not sent or not heard says nothing about an earlier attempt.
        WITH said AS (
            SELECT c.id, CASE
                WHEN p_outcome = 'declined' AND (NOT c.in_doubt OR p_platform_status = 402) THEN 'declined'
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

-- As before, but only an object, an array or a string is taken for JSON; all else is an id.
CREATE OR REPLACE FUNCTION settle_charge(
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
    LOCK TABLE subscription IN ACCESS SHARE MODE;
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
            json_order := CASE WHEN p_order ~ '^\s*[{["]' THEN p_order::json::text ELSE to_json(p_order)::text END;
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

-- What is settled by the way waits for nobody for longer than a reader should.
ALTER FUNCTION settle_subscriptions(integer) SET lock_timeout = '200ms';

-- What the functions promise that others call; docs/schema/ shows it beside their latest bodies.
COMMENT ON FUNCTION subscribe IS
    'Subscribes customers to clubs, each at most once however many ask at the same time. Outcome: subscribed,
already-subscribed (with the id of the first), club-not-active, club-not-found. With p_others_wait whoever holds a lock
that it needs is waited for only a moment (55P03, nothing written), as in the other functions that have it.';
COMMENT ON FUNCTION change_status IS
    'Changes the status of subscriptions, each at most once in a call. Outcome: changed, subscription-not-found.';
COMMENT ON FUNCTION begin_charges IS
    'Decides what requests to charge may do, and writes that an attempt begins before anything is sent. Outcome:
  begun                   send sent_request with customer and sku, then call finish_charges
  charged                 already charged: the recorded answer
  in-progress             another attempt runs (or, with p_only_watch, has ended without a charge)
  in-doubt                where nothing may be sent twice: an operator settles it
  subscription-not-found, not-chargeable (reason says why), request-id-reused (reason says by whom)';
COMMENT ON FUNCTION finish_charges IS
    'Writes what came of attempts: charged, declined, released (not sent, or refused for our own sake) or unknown. Refuses
(23503) the outcome of a request id that its charge has never had.';
COMMENT ON FUNCTION claim_unsettled IS
    'Takes charges in doubt whose time has come, to send each again under its request id, then call finish_charges.';
COMMENT ON FUNCTION settle_charge IS
    'An operator says what came of a charge: p_outcome is charged, with p_order, or not-charged. Outcome:
  settled
  outcome-unknown-word, order-missing, order-not-allowed, who-missing, why-missing    nothing was looked at
  charge-not-found, already-charged, attempt-running                                  nothing was changed
  not-in-doubt                                  nothing was charged as it is: there is nothing to settle';
COMMENT ON FUNCTION settle_subscriptions IS
    'Brings the intervals of unsettled subscriptions up to date, at most p_limit of them. Returns how many.';

-- migrate: down

COMMENT ON FUNCTION settle_subscriptions IS NULL;
COMMENT ON FUNCTION settle_charge IS NULL;
COMMENT ON FUNCTION claim_unsettled IS NULL;
COMMENT ON FUNCTION finish_charges IS NULL;
COMMENT ON FUNCTION begin_charges IS NULL;
COMMENT ON FUNCTION change_status IS NULL;
COMMENT ON FUNCTION subscribe IS NULL;
ALTER FUNCTION settle_subscriptions(integer) RESET lock_timeout;

CREATE OR REPLACE FUNCTION settle_charge(
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
    LOCK TABLE subscription IN ACCESS SHARE MODE;
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
        -- Of refusals only 402 ends a doubt about the same request id: who speaks of the money knows the order. 400,
        -- 409 and 422 are said also of an id that was seen before or is still worked on, 404 and 410 also by what
        -- answers in the platform's place. What was not sent or not heard says nothing about an earlier attempt.
        WITH said AS (
            SELECT c.id, CASE
                WHEN p_outcome = 'declined' AND (NOT c.in_doubt OR p_platform_status = 402) THEN 'declined'
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
