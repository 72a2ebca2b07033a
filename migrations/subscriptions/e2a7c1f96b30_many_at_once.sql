-- revision: e2a7c1f96b30
-- down revision: a93e57d0c418
-- message: many at once
--
-- Subscribing and changing a status take what several requests ask at the same moment: one statement, one commit, one
-- flush of the log. The arrays of a call are of equal length; their places are the requests, and the answers come in
-- the same order. A call with one place is an ordinary request.

-- migrate: up

DROP FUNCTION subscribe(integer, varchar, varchar, varchar);
DROP FUNCTION change_status(varchar, integer, timestamp, integer, varchar, varchar, varchar);

-- Takes the transaction's locks of one kind in one order, so that two calls never wait for each other. A call for whose
-- end others wait (p_others_wait) gives up soon when somebody else holds a lock that it needs, here or later (SQLSTATE
-- 55P03, nothing written): its requests can be asked one by one, and those that nobody holds up get their answer.
CREATE FUNCTION lock_together(p_kind text, p_keys text[], p_others_wait boolean) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF p_others_wait THEN
        PERFORM set_config('lock_timeout', '50ms', true);
    END IF;
    PERFORM pg_advisory_xact_lock(k.number) FROM (
        SELECT DISTINCT hashtextextended(p_kind || ' ' || key, 0) AS number FROM unnest(p_keys) key ORDER BY 1) k;
END $$;

-- Subscribes customers to clubs, each at most once however many ask at the same time. Outcome: subscribed,
-- already-subscribed (with the id of the first), club-not-active, club-not-found.
-- It must stay VOLATILE: only then does the statement that decides see what those who held the locks have committed.
CREATE FUNCTION subscribe(
    p_clubs integer[], p_customers varchar[], p_subscriptions varchar[], p_histories varchar[], p_others_wait boolean
) RETURNS TABLE (outcome text, subscription_id varchar, created timestamp)
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    moment timestamp;
BEGIN
    PERFORM lock_together('subscribe', ARRAY(
        SELECT r.club || ' ' || r.customer FROM unnest(p_clubs, p_customers) AS r (club, customer)), p_others_wait);
    moment := utc_now();
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT r.*, (
                SELECT h.club_status_id FROM club_status_history h
                WHERE h.club_id = r.club AND h.effect_date <= moment
                ORDER BY h.effect_date DESC, h.create_date DESC NULLS LAST, h.id DESC LIMIT 1) AS status, (
                SELECT s.id FROM subscription s
                WHERE s.club_id = r.club AND s.customer_store_id = r.customer
                ORDER BY s.create_date, s.id LIMIT 1) AS existing
        FROM unnest(p_clubs, p_customers, p_subscriptions, p_histories) WITH ORDINALITY
            AS r (club, customer, subscription, history, place)),
    fresh AS MATERIALIZED (
        SELECT DISTINCT ON (a.club, a.customer) a.* FROM asked a
        WHERE a.status = 1 AND a.existing IS NULL ORDER BY a.club, a.customer, a.place),
    subscribed AS (
        INSERT INTO subscription (id, club_id, customer_store_id, create_date)
        SELECT f.subscription, f.club, f.customer, moment FROM fresh f),
    activated AS (
        INSERT INTO subscription_status_history (id, subscription_id, status_id, effect_date, create_date, details)
        SELECT f.history, f.subscription, 1, moment, moment, 'Subscribed' FROM fresh f)
    SELECT
        CASE WHEN a.status = 1 THEN CASE WHEN f.place = a.place THEN 'subscribed' ELSE 'already-subscribed' END
             WHEN EXISTS (SELECT FROM club c WHERE c.id = a.club) THEN 'club-not-active'
             ELSE 'club-not-found' END,
        CASE WHEN a.status = 1 THEN coalesce(a.existing, f.subscription) END,
        CASE WHEN f.place = a.place THEN moment END
    FROM asked a LEFT JOIN fresh f ON f.club = a.club AND f.customer = a.customer
    ORDER BY a.place;
END $$;

-- Changes the statuses of subscriptions, takes back every automatic return still to come, and schedules a new one
-- where an interval of days is given. Outcome: changed, subscription-not-found. A subscription may stand in a call
-- only once (SQLSTATE 21000 otherwise): of two changes one is the later.
CREATE FUNCTION change_status(
    p_subscriptions varchar[], p_statuses integer[], p_effects timestamp[], p_days integer[], p_details varchar[],
    p_histories varchar[], p_returns varchar[], p_others_wait boolean
) RETURNS TABLE (outcome text, effect timestamp, returns timestamp)
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    moment timestamp;
BEGIN
    PERFORM lock_together('status', p_subscriptions, p_others_wait);
    IF cardinality(p_subscriptions) > 1
            AND cardinality(p_subscriptions) > (SELECT count(DISTINCT s) FROM unnest(p_subscriptions) s) THEN
        RAISE cardinality_violation USING MESSAGE = 'two changes of one subscription in one call';
    END IF;
    moment := utc_now();
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT r.*, coalesce(r.effect, moment) AS effective
        FROM unnest(p_subscriptions, p_statuses, p_effects, p_days, p_details, p_histories, p_returns) WITH ORDINALITY
            AS r (subscription, status, effect, days, details, history, return, place)),
    known AS MATERIALIZED (
        SELECT a.*, a.effective + make_interval(days => a.days) AS return_at
        FROM asked a WHERE EXISTS (SELECT FROM subscription s WHERE s.id = a.subscription)),
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
        WHERE k.days IS NOT NULL)
    SELECT CASE WHEN k.place IS NULL THEN 'subscription-not-found' ELSE 'changed' END, k.effective, k.return_at
    FROM asked a LEFT JOIN known k ON k.place = a.place
    ORDER BY a.place;
END $$;

-- Decides what requests to charge may do: begin_charge for each of them (begin_charge_once with p_once), whose locks are
-- taken before for all. Where everybody has been charged this month, the recorded answers need no lock.
CREATE FUNCTION begin_charges(
    p_subscriptions varchar[], p_requests varchar[], p_zone text, p_leases integer[], p_only_watch boolean[],
    p_once boolean, p_others_wait boolean
) RETURNS TABLE (
    outcome text, reason text, charge_id bigint, charge_period text, charge_attempt integer, sent_request text,
    customer text, sku integer, charge_state text, charged timestamp, recorded_order text
) LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    month text := billing_period(clock_timestamp(), p_zone);
BEGIN
    RETURN QUERY
    WITH made AS MATERIALIZED (
        SELECT r.place, c.id, c.request_id, c.charged_at AT TIME ZONE 'UTC' AS at, c.platform_order
        FROM unnest(p_subscriptions) WITH ORDINALITY AS r (subscription, place)
        JOIN charge c ON c.subscription_id = r.subscription AND c.period = month AND c.retired_at IS NULL
            AND c.state = 'charged')
    SELECT 'charged', NULL::text, m.id, month, NULL::integer, m.request_id::text, NULL::text, NULL::integer, 'charged',
        m.at, m.platform_order
    FROM made m WHERE (SELECT count(*) FROM made) = cardinality(p_subscriptions) ORDER BY m.place;
    IF FOUND THEN
        RETURN;
    END IF;
    PERFORM lock_together('charge', p_subscriptions, p_others_wait);
    PERFORM lock_together('request', p_requests, p_others_wait);
    IF p_once THEN
        RETURN QUERY SELECT b.* FROM unnest(p_subscriptions, p_requests, p_leases, p_only_watch) WITH ORDINALITY
            AS r (subscription, request, lease, only_watch, place)
        CROSS JOIN LATERAL begin_charge_once(r.subscription, r.request, p_zone, r.lease, r.only_watch) b
        ORDER BY r.place;
    ELSE
        RETURN QUERY SELECT b.* FROM unnest(p_subscriptions, p_requests, p_leases, p_only_watch) WITH ORDINALITY
            AS r (subscription, request, lease, only_watch, place)
        CROSS JOIN LATERAL begin_charge(r.subscription, r.request, p_zone, r.lease, r.only_watch) b
        ORDER BY r.place;
    END IF;
END $$;

-- Records what came of attempts: finish_charge for each of them.
CREATE FUNCTION finish_charges(
    p_charges bigint[], p_attempts integer[], p_requests varchar[], p_outcomes text[], p_platform_statuses integer[],
    p_orders text[], p_excerpts varchar[], p_others_wait boolean
) RETURNS TABLE (charge_state text, sent_request text, charged timestamp, recorded_order text)
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    PERFORM lock_together('finish', p_charges::text[], p_others_wait);
    RETURN QUERY SELECT f.* FROM unnest(
            p_charges, p_attempts, p_requests, p_outcomes, p_platform_statuses, p_orders, p_excerpts) WITH ORDINALITY
        AS r (charge, attempt, request, outcome, platform_status, platform_order, excerpt, place)
    CROSS JOIN LATERAL finish_charge(
        r.charge, r.attempt, r.request, r.outcome, r.platform_status, r.platform_order, r.excerpt) f
    ORDER BY r.place;
END $$;

-- migrate: down

DROP FUNCTION finish_charges(
    bigint[], integer[], varchar[], text[], integer[], text[], varchar[], boolean);
DROP FUNCTION begin_charges(varchar[], varchar[], text, integer[], boolean[], boolean, boolean);
DROP FUNCTION change_status(varchar[], integer[], timestamp[], integer[], varchar[], varchar[], varchar[], boolean);
DROP FUNCTION subscribe(integer[], varchar[], varchar[], varchar[], boolean);
DROP FUNCTION lock_together(text, text[], boolean);

CREATE FUNCTION subscribe(
    p_club integer, p_customer varchar, p_subscription varchar, p_history varchar,
    OUT outcome text, OUT subscription_id varchar, OUT created timestamp
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF current_club_status(p_club, utc_now()) IS DISTINCT FROM 1 THEN
        outcome := CASE WHEN EXISTS (SELECT FROM club c WHERE c.id = p_club) THEN 'club-not-active'
                        ELSE 'club-not-found' END;
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('subscribe ' || p_club || ' ' || p_customer, 0));
    SELECT s.id INTO subscription_id FROM subscription s
    WHERE s.club_id = p_club AND s.customer_store_id = p_customer
    ORDER BY s.create_date, s.id LIMIT 1;
    IF FOUND THEN
        outcome := 'already-subscribed';
        RETURN;
    END IF;
    created := utc_now();
    INSERT INTO subscription (id, club_id, customer_store_id, create_date)
    VALUES (p_subscription, p_club, p_customer, created);
    INSERT INTO subscription_status_history (id, subscription_id, status_id, effect_date, create_date, details)
    VALUES (p_history, p_subscription, 1, created, created, 'Subscribed');
    subscription_id := p_subscription;
    outcome := 'subscribed';
END $$;

CREATE FUNCTION change_status(
    p_subscription varchar, p_status integer, p_effect timestamp, p_days integer, p_details varchar,
    p_history varchar, p_return varchar,
    OUT outcome text, OUT effect timestamp, OUT returns timestamp
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    moment timestamp;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('status ' || p_subscription, 0));
    IF NOT EXISTS (SELECT FROM subscription s WHERE s.id = p_subscription) THEN
        outcome := 'subscription-not-found';
        RETURN;
    END IF;
    moment := utc_now();
    effect := coalesce(p_effect, moment);
    WITH taken_back AS (
        DELETE FROM subscription_status_history h
        WHERE h.subscription_id = p_subscription AND h.effect_date > moment AND h.status_id = 1
            AND h.details = 'Automatic return schedule'
        RETURNING h.id, h.subscription_id, h.effect_date, h.create_date)
    INSERT INTO superseded_return (id, subscription_id, effect_date, create_date, superseded_by, superseded_at)
    SELECT t.id, t.subscription_id, t.effect_date, t.create_date, p_history, moment FROM taken_back t;
    INSERT INTO subscription_status_history (id, subscription_id, status_id, effect_date, create_date, details)
    VALUES (p_history, p_subscription, p_status, effect, moment, p_details);
    IF p_days IS NOT NULL THEN
        returns := effect + make_interval(days => p_days);
        INSERT INTO subscription_status_history (id, subscription_id, status_id, effect_date, create_date, details)
        VALUES (p_return, p_subscription, 1, returns, moment, 'Automatic return schedule');
    END IF;
    outcome := 'changed';
END $$;
