-- revision: d71b3e90a6f4
-- down revision: d58b2e07c4f1
-- message: truncated and reloaded
--
-- Outsiders truncate tables and load them again, or delete subscriptions and insert them again, in one transaction.
-- Whoever waits for the end of it with a snapshot from before sees neither the old rows nor the new ones.

-- migrate: up

-- As before, and nothing that decides is looked at before its table is locked: a function that is STABLE looks with the
-- snapshot of the statement that calls it, and TRUNCATE empties a table for old snapshots too. No history at all would
-- mean that nothing keeps from charging.
CREATE OR REPLACE FUNCTION begin_charges(
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
    LOCK TABLE club, club_status_history, subscription, subscription_status_history IN ACCESS SHARE MODE;
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

-- As before, but the subscription is read after its charge is locked, so that what is sent is of the subscription whose
-- charge it is. 40001, where that charge went meanwhile, stands for: nothing was done, ask again.
CREATE OR REPLACE FUNCTION begin_charge(
    p_subscription varchar, p_request varchar, p_zone text, p_lease_milliseconds integer, p_only_watch boolean,
    OUT outcome text, OUT reason text, OUT charge_id bigint, OUT charge_period text, OUT charge_attempt integer,
    OUT sent_request text, OUT customer text, OUT sku integer, OUT charge_state text,
    OUT charged timestamp, OUT recorded_order text
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    month text := billing_period(moment, p_zone);
    found_charge charge;
    seen bigint;
    owner charge;
    club integer;
    status integer;
BEGIN
    charge_period := month;
    SELECT * INTO found_charge FROM charge c
    WHERE c.subscription_id = p_subscription AND c.period = charge_period AND c.retired_at IS NULL;
    seen := found_charge.id;

    IF found_charge.state IS DISTINCT FROM 'charged' AND NOT p_only_watch THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('charge ' || p_subscription, 0));
        PERFORM pg_advisory_xact_lock(hashtextextended('request ' || p_request, 0));
        moment := clock_timestamp();
        SELECT c.* INTO owner FROM charge_request r JOIN charge c ON c.id = r.charge_id
        WHERE r.request_id = p_request;
        -- A repeat of last month's request settles last month's doubt; it is no request for this month.
        IF owner.subscription_id = p_subscription AND owner.state IN ('sending', 'unknown') THEN
            charge_period := owner.period;
        END IF;
        SELECT * INTO found_charge FROM charge c
        WHERE c.subscription_id = p_subscription AND c.period = charge_period AND c.retired_at IS NULL
        FOR UPDATE;
        -- Whoever deletes or renames the subscription has been waited for here, and waits from here on.
        IF found_charge.id IS NULL AND (seen IS NOT NULL OR charge_period <> month) THEN
            RAISE EXCEPTION 'the charge of % went at this moment', p_subscription
                USING ERRCODE = 'serialization_failure';
        END IF;
        SELECT s.customer_store_id, s.club_id, c.store_sku INTO customer, club, sku
        FROM subscription s LEFT JOIN club c ON c.id = s.club_id WHERE s.id = p_subscription;
        IF NOT FOUND THEN
            outcome := 'subscription-not-found';
            RETURN;
        END IF;
        -- Whose the request id is matters only where it is the one that would be sent.
        IF found_charge.id IS NULL OR found_charge.state IN ('declined', 'released') THEN
            reason := CASE
                WHEN owner.subscription_id <> p_subscription THEN 'another subscription'
                WHEN owner.period <> month THEN 'the month ' || owner.period || ' of this subscription'
            END;
            IF reason IS NOT NULL THEN
                outcome := 'request-id-reused';
                RETURN;
            END IF;
        END IF;
    END IF;

    charge_state := found_charge.state;
    IF found_charge.state = 'charged' THEN
        outcome := 'charged';
        charge_id := found_charge.id;
        sent_request := found_charge.request_id;
        charged := found_charge.charged_at AT TIME ZONE 'UTC';
        recorded_order := found_charge.platform_order;
        RETURN;
    END IF;
    IF p_only_watch OR (found_charge.state = 'sending' AND found_charge.lease_until > moment) THEN
        outcome := 'in-progress';
        RETURN;
    END IF;

    -- No history at all is no reason to refuse: outside suites rely on it.
    status := current_subscription_status(p_subscription, moment AT TIME ZONE 'UTC');
    reason := CASE
        WHEN status = 2 THEN 'the subscription is cancelled'
        WHEN status = 3 THEN 'the subscription is paused'
        WHEN current_club_status(club, moment AT TIME ZONE 'UTC') = 3 THEN 'its club is inactive'
        WHEN customer IS NULL THEN 'the subscription has no customer'
        WHEN club IS NULL THEN 'the subscription has no club'
        WHEN sku IS NULL THEN 'its club has no SKU'
    END;
    IF reason IS NOT NULL THEN
        outcome := 'not-chargeable';
        RETURN;
    END IF;

    outcome := 'begun';
    IF found_charge.id IS NULL THEN
        INSERT INTO charge (subscription_id, period, state, request_id, customer_id, sku_id, lease_until, created_at)
        VALUES (p_subscription, charge_period, 'sending', p_request, customer, sku,
                moment + p_lease_milliseconds * interval '1 millisecond', moment)
        RETURNING * INTO found_charge;
    ELSIF found_charge.state IN ('declined', 'released') THEN
        UPDATE charge c SET state = 'sending', attempt = c.attempt + 1, request_id = p_request,
            customer_id = customer, sku_id = sku,
            lease_until = moment + p_lease_milliseconds * interval '1 millisecond'
        WHERE c.id = found_charge.id RETURNING * INTO found_charge;
    ELSE
        -- Sent before with an outcome that nobody knows: the same id and the same payload again.
        UPDATE charge c SET state = 'sending', attempt = c.attempt + 1, in_doubt = true,
            lease_until = moment + p_lease_milliseconds * interval '1 millisecond'
        WHERE c.id = found_charge.id RETURNING * INTO found_charge;
    END IF;
    INSERT INTO charge_request (request_id, charge_id) VALUES (found_charge.request_id, found_charge.id)
    ON CONFLICT DO NOTHING;
    INSERT INTO charge_event (charge_id, attempt, request_id, what)
    VALUES (found_charge.id, found_charge.attempt, found_charge.request_id, 'begun');
    charge_id := found_charge.id;
    charge_attempt := found_charge.attempt;
    sent_request := found_charge.request_id;
    customer := found_charge.customer_id;
    sku := found_charge.sku_id;
END $$;

-- As before, and only while the subscription still says what the new charge will send: another one may have been
-- inserted under its id.
CREATE OR REPLACE FUNCTION hold_charged_subscription() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM FROM subscription s JOIN club c ON c.id = s.club_id
    WHERE s.id = NEW.subscription_id AND s.customer_store_id = NEW.customer_id AND c.store_sku = NEW.sku_id
    FOR KEY SHARE OF s;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'subscription % was deleted or changed at this moment', NEW.subscription_id
            USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NEW;
END $$;
-- As all triggers that run as the owner.
DO $$
BEGIN
    EXECUTE (
        SELECT format('ALTER FUNCTION %s SET search_path = %s, pg_temp',
            p.oid::regprocedure, p.pronamespace::regnamespace)
        FROM pg_proc p WHERE p.oid = 'hold_charged_subscription'::regproc);
END $$;

-- A number stands for one charge for ever. What a column owns begins again after TRUNCATE … RESTART IDENTITY, and an
-- attempt that was on its way would be recorded on the charge that got its number.
LOCK TABLE charge IN ACCESS EXCLUSIVE MODE;
CREATE SEQUENCE charge_number;
SELECT setval('charge_number', n.last_value, n.is_called) FROM charge_id_seq n;
ALTER TABLE charge ALTER COLUMN id DROP IDENTITY;
ALTER TABLE charge ALTER COLUMN id SET DEFAULT nextval('charge_number');

-- The page of eligible_page at the present instant. The tables are locked before, since it looks with the snapshot of
-- whoever calls it. SQLSTATE 55P03 when somebody holds one of them for long: to be asked again.
CREATE FUNCTION eligible_page_now(p_after varchar, p_limit integer) RETURNS SETOF varchar
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    moment timestamp;
BEGIN
    PERFORM set_config('lock_timeout', '200ms', true);
    LOCK TABLE club, club_status_history, subscription, subscription_status_history, active_interval,
        unsettled_subscription IN ACCESS SHARE MODE;
    moment := utc_now();
    RETURN QUERY SELECT e.id FROM eligible_page(moment, p_after, p_limit) e(id);
END $$;

-- migrate: down

DROP FUNCTION eligible_page_now(varchar, integer);

ALTER TABLE charge ALTER COLUMN id DROP DEFAULT;
ALTER TABLE charge ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY;
SELECT setval('charge_id_seq', n.last_value, n.is_called) FROM charge_number n;
DROP SEQUENCE charge_number;

CREATE OR REPLACE FUNCTION hold_charged_subscription() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM FROM subscription s WHERE s.id = NEW.subscription_id FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'subscription % was deleted at this moment', NEW.subscription_id
            USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NEW;
END $$;
DO $$
BEGIN
    EXECUTE (
        SELECT format('ALTER FUNCTION %s SET search_path = %s, pg_temp',
            p.oid::regprocedure, p.pronamespace::regnamespace)
        FROM pg_proc p WHERE p.oid = 'hold_charged_subscription'::regproc);
END $$;

CREATE OR REPLACE FUNCTION begin_charge(
    p_subscription varchar, p_request varchar, p_zone text, p_lease_milliseconds integer, p_only_watch boolean,
    OUT outcome text, OUT reason text, OUT charge_id bigint, OUT charge_period text, OUT charge_attempt integer,
    OUT sent_request text, OUT customer text, OUT sku integer, OUT charge_state text,
    OUT charged timestamp, OUT recorded_order text
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    month text := billing_period(moment, p_zone);
    found_charge charge;
    owner charge;
    club integer;
    status integer;
BEGIN
    charge_period := month;
    SELECT * INTO found_charge FROM charge c
    WHERE c.subscription_id = p_subscription AND c.period = charge_period AND c.retired_at IS NULL;

    IF found_charge.state IS DISTINCT FROM 'charged' AND NOT p_only_watch THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('charge ' || p_subscription, 0));
        PERFORM pg_advisory_xact_lock(hashtextextended('request ' || p_request, 0));
        moment := clock_timestamp();
        SELECT s.customer_store_id, s.club_id, c.store_sku INTO customer, club, sku
        FROM subscription s LEFT JOIN club c ON c.id = s.club_id WHERE s.id = p_subscription;
        IF NOT FOUND THEN
            outcome := 'subscription-not-found';
            RETURN;
        END IF;
        SELECT c.* INTO owner FROM charge_request r JOIN charge c ON c.id = r.charge_id
        WHERE r.request_id = p_request;
        -- A repeat of last month's request settles last month's doubt; it is no request for this month.
        IF owner.subscription_id = p_subscription AND owner.state IN ('sending', 'unknown') THEN
            charge_period := owner.period;
        END IF;
        SELECT * INTO found_charge FROM charge c
        WHERE c.subscription_id = p_subscription AND c.period = charge_period AND c.retired_at IS NULL
        FOR UPDATE;
        -- Whose the request id is matters only where it is the one that would be sent.
        IF found_charge.id IS NULL OR found_charge.state IN ('declined', 'released') THEN
            reason := CASE
                WHEN owner.subscription_id <> p_subscription THEN 'another subscription'
                WHEN owner.period <> month THEN 'the month ' || owner.period || ' of this subscription'
            END;
            IF reason IS NOT NULL THEN
                outcome := 'request-id-reused';
                RETURN;
            END IF;
        END IF;
    END IF;

    charge_state := found_charge.state;
    IF found_charge.state = 'charged' THEN
        outcome := 'charged';
        charge_id := found_charge.id;
        sent_request := found_charge.request_id;
        charged := found_charge.charged_at AT TIME ZONE 'UTC';
        recorded_order := found_charge.platform_order;
        RETURN;
    END IF;
    IF p_only_watch OR (found_charge.state = 'sending' AND found_charge.lease_until > moment) THEN
        outcome := 'in-progress';
        RETURN;
    END IF;

    -- No history at all is no reason to refuse: outside suites rely on it.
    status := current_subscription_status(p_subscription, moment AT TIME ZONE 'UTC');
    reason := CASE
        WHEN status = 2 THEN 'the subscription is cancelled'
        WHEN status = 3 THEN 'the subscription is paused'
        WHEN current_club_status(club, moment AT TIME ZONE 'UTC') = 3 THEN 'its club is inactive'
        WHEN customer IS NULL THEN 'the subscription has no customer'
        WHEN club IS NULL THEN 'the subscription has no club'
        WHEN sku IS NULL THEN 'its club has no SKU'
    END;
    IF reason IS NOT NULL THEN
        outcome := 'not-chargeable';
        RETURN;
    END IF;

    outcome := 'begun';
    IF found_charge.id IS NULL THEN
        INSERT INTO charge (subscription_id, period, state, request_id, customer_id, sku_id, lease_until, created_at)
        VALUES (p_subscription, charge_period, 'sending', p_request, customer, sku,
                moment + p_lease_milliseconds * interval '1 millisecond', moment)
        RETURNING * INTO found_charge;
    ELSIF found_charge.state IN ('declined', 'released') THEN
        UPDATE charge c SET state = 'sending', attempt = c.attempt + 1, request_id = p_request,
            customer_id = customer, sku_id = sku,
            lease_until = moment + p_lease_milliseconds * interval '1 millisecond'
        WHERE c.id = found_charge.id RETURNING * INTO found_charge;
    ELSE
        -- Sent before with an outcome that nobody knows: the same id and the same payload again.
        UPDATE charge c SET state = 'sending', attempt = c.attempt + 1, in_doubt = true,
            lease_until = moment + p_lease_milliseconds * interval '1 millisecond'
        WHERE c.id = found_charge.id RETURNING * INTO found_charge;
    END IF;
    INSERT INTO charge_request (request_id, charge_id) VALUES (found_charge.request_id, found_charge.id)
    ON CONFLICT DO NOTHING;
    INSERT INTO charge_event (charge_id, attempt, request_id, what)
    VALUES (found_charge.id, found_charge.attempt, found_charge.request_id, 'begun');
    charge_id := found_charge.id;
    charge_attempt := found_charge.attempt;
    sent_request := found_charge.request_id;
    customer := found_charge.customer_id;
    sku := found_charge.sku_id;
END $$;

CREATE OR REPLACE FUNCTION begin_charges(
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
