-- revision: f06d2b8a51c7
-- down revision: c83f5b0e7d21
-- message: cancelled stays cancelled
--
-- A pause with an interval that was posted after a cancellation, but for an instant before it, brought the subscription
-- back to life at its end: it was charged.

-- migrate: up

-- As before, but a pause gets no return when the subscription is cancelled after it begins and before it would end.
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

-- Returns still to come that were scheduled so. A pause and its return were made at the same instant.
WITH taken_back AS (
    DELETE FROM subscription_status_history r USING subscription_status_history p, subscription_status_history c
    WHERE r.status_id = 1 AND r.details = 'Automatic return schedule' AND r.effect_date > utc_now()
        AND p.subscription_id = r.subscription_id AND p.status_id = 3 AND p.create_date = r.create_date
        AND p.effect_date < r.effect_date
        AND c.subscription_id = r.subscription_id AND c.status_id = 2 AND c.create_date <= r.create_date
        AND c.effect_date > p.effect_date AND c.effect_date <= r.effect_date
    RETURNING r.id, r.subscription_id, r.effect_date, r.create_date, c.id AS cancellation)
INSERT INTO superseded_return (id, subscription_id, effect_date, create_date, superseded_by, superseded_at)
SELECT t.id, t.subscription_id, t.effect_date, t.create_date, t.cancellation, utc_now() FROM taken_back t;

-- migrate: down

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
        SELECT a.*, s.club_id, s.customer_store_id, a.effective + make_interval(days => a.days) AS return_at
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
        WHERE k.days IS NOT NULL),
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
