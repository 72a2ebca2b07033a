-- revision: 4d9a07e3c1b6
-- down revision: f06d2b8a51c7
-- message: restored and cleared
--
-- A backup that is restored while an order is out gives the number of its charge to another subscription's, which took
-- the order for its own and was never charged. And an order's id that an operator gives was read as JSON where it could
-- be: 5e12 became the number 5000000000000 in whoever read the receipt.
--
-- And who cleared a database by deleting from every table in it could be ended for a deadlock with a reader who settled.
-- And a change that was made late, for an instant within a pause that had ended, was undone by the pause's return: a
-- customer who was cancelled so was charged.

-- migrate: up

-- As before, but what comes of a request id that the charge has never had is refused, as for a charge that is gone; but
-- that the subscription was charged counts all the same.
CREATE OR REPLACE FUNCTION finish_charges(
    p_charges bigint[], p_attempts integer[], p_requests varchar[], p_outcomes text[], p_platform_statuses integer[],
    p_orders text[], p_excerpts varchar[], p_subscriptions varchar[], p_traces varchar[], p_correlations varchar[],
    p_others_wait boolean
) RETURNS TABLE (charge_state text, sent_request text, charged timestamp, recorded_order text)
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    asked record;
BEGIN
    PERFORM lock_together('finish', p_charges::text[], p_others_wait);
    PERFORM lock_together('event', p_subscriptions, p_others_wait);
    LOCK TABLE subscription IN ACCESS SHARE MODE;
    FOR asked IN
        SELECT r.* FROM unnest(
                p_charges, p_attempts, p_requests, p_outcomes, p_platform_statuses, p_orders, p_excerpts,
                p_subscriptions, p_traces, p_correlations) WITH ORDINALITY
            AS r (charge, attempt, request, outcome, platform_status, platform_order, excerpt, subscription, trace,
                  correlation, place)
        ORDER BY r.place
    LOOP
        IF NOT EXISTS (
                SELECT FROM charge c WHERE c.id = asked.charge
                    AND (c.request_id = asked.request
                        OR asked.outcome = 'charged' AND c.subscription_id = asked.subscription))
            AND NOT EXISTS (
                SELECT FROM charge_event e WHERE e.charge_id = asked.charge AND e.request_id = asked.request)
        THEN
            RAISE foreign_key_violation USING
                MESSAGE = format('charge %s has not sent request id %s', asked.charge, asked.request),
                TABLE = 'charge_event', CONSTRAINT = 'charge_event_charge_id_fkey';
        END IF;
        PERFORM set_event_cause(asked.trace, asked.correlation);
        RETURN QUERY SELECT f.* FROM finish_charge(
            asked.charge, asked.attempt, asked.request, asked.outcome, asked.platform_status, asked.platform_order,
            asked.excerpt) f;
    END LOOP;
END $$;

-- As before, but a change for an instant within a pause takes back the pause's return also once that has taken effect.
CREATE OR REPLACE FUNCTION change_status(
    p_subscriptions varchar[], p_statuses integer[], p_effects timestamp[], p_days integer[], p_details varchar[],
    p_histories varchar[], p_returns varchar[], p_traces varchar[], p_correlations varchar[], p_others_wait boolean
) RETURNS TABLE (outcome text, effect timestamp, returns timestamp)
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    moment timestamp;
BEGIN
    PERFORM lock_together('status', p_subscriptions, p_others_wait);
    PERFORM lock_together('event', p_subscriptions, p_others_wait);
    IF cardinality(p_subscriptions) > 1
            AND cardinality(p_subscriptions) > (SELECT count(DISTINCT s) FROM unnest(p_subscriptions) s) THEN
        RAISE cardinality_violation USING MESSAGE = 'two changes of one subscription in one call';
    END IF;
    moment := utc_now();
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT r.*, coalesce(r.effect, moment) AS effective
        FROM unnest(p_subscriptions, p_statuses, p_effects, p_days, p_details, p_histories, p_returns, p_traces,
                p_correlations) WITH ORDINALITY
            AS r (subscription, status, effect, days, details, history, return, trace, correlation, place)),
    known AS MATERIALIZED (
        SELECT a.*, s.club_id, s.customer_store_id,
            CASE WHEN a.days IS NOT NULL AND NOT EXISTS (
                SELECT FROM subscription_status_history h
                WHERE h.subscription_id = a.subscription AND h.status_id = 2 AND h.effect_date > a.effective
                    AND h.effect_date <= a.effective + make_interval(days => a.days))
            THEN a.effective + make_interval(days => a.days) END AS return_at
        FROM asked a JOIN subscription s ON s.id = a.subscription),
    taken_back AS (
        DELETE FROM subscription_status_history h USING known k
        WHERE h.subscription_id = k.subscription AND h.effect_date > least(moment, k.effective) AND h.status_id = 1
            AND h.details = 'Automatic return schedule'
            -- A pause and its return are made at the same instant. Who imports histories may give many that instant: the
            -- pause is the last of them before the return.
            AND (h.effect_date > moment OR k.effective >= (
                SELECT max(p.effect_date) FROM subscription_status_history p
                WHERE p.subscription_id = h.subscription_id AND p.status_id = 3 AND p.create_date = h.create_date
                    AND p.effect_date <= h.effect_date))
        RETURNING h.id, h.subscription_id, h.effect_date, h.create_date, k.history),
    remembered AS (
        INSERT INTO superseded_return (id, subscription_id, effect_date, create_date, superseded_by, superseded_at)
        SELECT t.id, t.subscription_id, t.effect_date, t.create_date, t.history, moment FROM taken_back t),
    written AS (
        INSERT INTO subscription_status_history (id, subscription_id, status_id, effect_date, create_date, details)
        SELECT k.history, k.subscription, k.status, k.effective, moment, k.details FROM known k
        UNION ALL
        SELECT k.return, k.subscription, 1, k.return_at, moment, 'Automatic return schedule' FROM known k
        WHERE k.return_at IS NOT NULL),
    numbered AS (
        INSERT INTO event_sequence AS e (subject, last) SELECT k.subscription, 2 FROM known k
        ON CONFLICT (subject) DO UPDATE SET last = e.last + 1 RETURNING e.subject, e.last),
    published AS (
        INSERT INTO outbox (id, type, subject, sequence, data, traceparent, correlation_id, causation_id)
        SELECT k.history::uuid, status_event_type(k.status), n.subject, n.last,
            status_event_data(k.subscription, k.club_id, k.customer_store_id, k.status, k.effective, k.return_at),
            k.trace, k.correlation, k.correlation
        FROM known k JOIN numbered n ON n.subject = k.subscription)
    SELECT CASE WHEN k.place IS NULL THEN 'subscription-not-found' ELSE 'changed' END, k.effective, k.return_at
    FROM asked a LEFT JOIN known k ON k.place = a.place
    ORDER BY a.place;
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

-- As before, but who is in the way is waited for no longer than a reader should be, and then nothing is settled.
CREATE OR REPLACE FUNCTION settle_subscriptions(p_limit integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET lock_timeout = '200ms' AS $$
DECLARE
    settled integer := 0;
    part record;
BEGIN
    IF NOT EXISTS (SELECT FROM unsettled_subscription)
        OR current_setting('transaction_read_only') = 'on'
        OR current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted')
        OR NOT pg_try_advisory_xact_lock(1635018102, -1)
    THEN
        RETURN 0;
    END IF;
    DELETE FROM unsettled_subscription u WHERE u.subscription_id IS NULL;
    IF FOUND THEN
        INSERT INTO unsettled_subscription SELECT s.id FROM subscription s
        UNION SELECT i.subscription_id FROM active_interval i;
    END IF;
    FOR part IN
        SELECT lock_share(u.subscription_id) AS share, array_agg(DISTINCT u.subscription_id) AS subscriptions
        FROM (SELECT w.subscription_id FROM unsettled_subscription w
              WHERE w.subscription_id IS NOT NULL AND claim_share(lock_share(w.subscription_id)) LIMIT p_limit) u
        GROUP BY 1
    LOOP
        DELETE FROM unsettled_subscription u WHERE u.subscription_id = ANY (part.subscriptions);
        CONTINUE WHEN NOT settle_share(part.share, part.subscriptions);
        settled := settled + cardinality(part.subscriptions);
    END LOOP;
    RETURN settled;
EXCEPTION WHEN lock_not_available THEN
    RETURN 0;
END $$;

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
(23503) the outcome of a request id that its charge has never had, but for the charge of the same subscription.';
COMMENT ON FUNCTION claim_unsettled IS
    'Takes charges in doubt whose time has come, to send each again under its request id, then call finish_charges.';
COMMENT ON FUNCTION settle_charge IS
    'An operator says what came of a charge: p_outcome is charged, with p_order, or not-charged. Outcome:
  settled
  outcome-unknown-word, order-missing, order-not-allowed, who-missing, why-missing    nothing was looked at
  charge-not-found, already-charged, attempt-running                                  nothing was changed
  not-in-doubt                                  nothing was charged as it is: there is nothing to settle';
COMMENT ON FUNCTION settle_subscriptions IS
    'Brings the intervals of unsettled subscriptions up to date, at most p_limit of them. Returns how many:
none also when somebody is in the way.';

-- migrate: down

COMMENT ON FUNCTION settle_subscriptions IS NULL;
COMMENT ON FUNCTION settle_charge IS NULL;
COMMENT ON FUNCTION claim_unsettled IS NULL;
COMMENT ON FUNCTION finish_charges IS NULL;
COMMENT ON FUNCTION begin_charges IS NULL;
COMMENT ON FUNCTION change_status IS NULL;
COMMENT ON FUNCTION subscribe IS NULL;

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

CREATE OR REPLACE FUNCTION settle_subscriptions(p_limit integer) RETURNS integer LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off AS $$
DECLARE
    settled integer := 0;
    part record;
BEGIN
    IF NOT EXISTS (SELECT FROM unsettled_subscription)
        OR current_setting('transaction_read_only') = 'on'
        OR current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted')
        OR NOT pg_try_advisory_xact_lock(1635018102, -1)
    THEN
        RETURN 0;
    END IF;
    DELETE FROM unsettled_subscription u WHERE u.subscription_id IS NULL;
    IF FOUND THEN
        INSERT INTO unsettled_subscription SELECT s.id FROM subscription s
        UNION SELECT i.subscription_id FROM active_interval i;
    END IF;
    FOR part IN
        SELECT lock_share(u.subscription_id) AS share, array_agg(DISTINCT u.subscription_id) AS subscriptions
        FROM (SELECT w.subscription_id FROM unsettled_subscription w
              WHERE w.subscription_id IS NOT NULL AND claim_share(lock_share(w.subscription_id)) LIMIT p_limit) u
        GROUP BY 1
    LOOP
        DELETE FROM unsettled_subscription u WHERE u.subscription_id = ANY (part.subscriptions);
        CONTINUE WHEN NOT settle_share(part.share, part.subscriptions);
        settled := settled + cardinality(part.subscriptions);
    END LOOP;
    RETURN settled;
END $$;

CREATE OR REPLACE FUNCTION change_status(
    p_subscriptions varchar[], p_statuses integer[], p_effects timestamp[], p_days integer[], p_details varchar[],
    p_histories varchar[], p_returns varchar[], p_traces varchar[], p_correlations varchar[], p_others_wait boolean
) RETURNS TABLE (outcome text, effect timestamp, returns timestamp)
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    moment timestamp;
BEGIN
    PERFORM lock_together('status', p_subscriptions, p_others_wait);
    PERFORM lock_together('event', p_subscriptions, p_others_wait);
    IF cardinality(p_subscriptions) > 1
            AND cardinality(p_subscriptions) > (SELECT count(DISTINCT s) FROM unnest(p_subscriptions) s) THEN
        RAISE cardinality_violation USING MESSAGE = 'two changes of one subscription in one call';
    END IF;
    moment := utc_now();
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT r.*, coalesce(r.effect, moment) AS effective
        FROM unnest(p_subscriptions, p_statuses, p_effects, p_days, p_details, p_histories, p_returns, p_traces,
                p_correlations) WITH ORDINALITY
            AS r (subscription, status, effect, days, details, history, return, trace, correlation, place)),
    known AS MATERIALIZED (
        SELECT a.*, s.club_id, s.customer_store_id,
            CASE WHEN a.days IS NOT NULL AND NOT EXISTS (
                SELECT FROM subscription_status_history h
                WHERE h.subscription_id = a.subscription AND h.status_id = 2 AND h.effect_date > a.effective
                    AND h.effect_date <= a.effective + make_interval(days => a.days))
            THEN a.effective + make_interval(days => a.days) END AS return_at
        FROM asked a JOIN subscription s ON s.id = a.subscription),
    taken_back AS (
        DELETE FROM subscription_status_history h USING known k
        WHERE h.subscription_id = k.subscription AND h.effect_date > moment AND h.status_id = 1
            AND h.details = 'Automatic return schedule'
        RETURNING h.id, h.subscription_id, h.effect_date, h.create_date, k.history),
    remembered AS (
        INSERT INTO superseded_return (id, subscription_id, effect_date, create_date, superseded_by, superseded_at)
        SELECT t.id, t.subscription_id, t.effect_date, t.create_date, t.history, moment FROM taken_back t),
    written AS (
        INSERT INTO subscription_status_history (id, subscription_id, status_id, effect_date, create_date, details)
        SELECT k.history, k.subscription, k.status, k.effective, moment, k.details FROM known k
        UNION ALL
        SELECT k.return, k.subscription, 1, k.return_at, moment, 'Automatic return schedule' FROM known k
        WHERE k.return_at IS NOT NULL),
    numbered AS (
        INSERT INTO event_sequence AS e (subject, last) SELECT k.subscription, 2 FROM known k
        ON CONFLICT (subject) DO UPDATE SET last = e.last + 1 RETURNING e.subject, e.last),
    published AS (
        INSERT INTO outbox (id, type, subject, sequence, data, traceparent, correlation_id, causation_id)
        SELECT k.history::uuid, status_event_type(k.status), n.subject, n.last,
            status_event_data(k.subscription, k.club_id, k.customer_store_id, k.status, k.effective, k.return_at),
            k.trace, k.correlation, k.correlation
        FROM known k JOIN numbered n ON n.subject = k.subscription)
    SELECT CASE WHEN k.place IS NULL THEN 'subscription-not-found' ELSE 'changed' END, k.effective, k.return_at
    FROM asked a LEFT JOIN known k ON k.place = a.place
    ORDER BY a.place;
END $$;

CREATE OR REPLACE FUNCTION finish_charges(
    p_charges bigint[], p_attempts integer[], p_requests varchar[], p_outcomes text[], p_platform_statuses integer[],
    p_orders text[], p_excerpts varchar[], p_subscriptions varchar[], p_traces varchar[], p_correlations varchar[],
    p_others_wait boolean
) RETURNS TABLE (charge_state text, sent_request text, charged timestamp, recorded_order text)
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    asked record;
BEGIN
    PERFORM lock_together('finish', p_charges::text[], p_others_wait);
    PERFORM lock_together('event', p_subscriptions, p_others_wait);
    LOCK TABLE subscription IN ACCESS SHARE MODE;
    FOR asked IN
        SELECT r.* FROM unnest(
                p_charges, p_attempts, p_requests, p_outcomes, p_platform_statuses, p_orders, p_excerpts, p_traces,
                p_correlations) WITH ORDINALITY
            AS r (charge, attempt, request, outcome, platform_status, platform_order, excerpt, trace, correlation,
                  place)
        ORDER BY r.place
    LOOP
        PERFORM set_event_cause(asked.trace, asked.correlation);
        RETURN QUERY SELECT f.* FROM finish_charge(
            asked.charge, asked.attempt, asked.request, asked.outcome, asked.platform_status, asked.platform_order,
            asked.excerpt) f;
    END LOOP;
END $$;
