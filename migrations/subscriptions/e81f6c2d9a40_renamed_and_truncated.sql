-- revision: e81f6c2d9a40
-- down revision: 5c0e8b47d1a9
-- message: renamed and truncated
--
-- Outsiders rename subscriptions and truncate tables while charges run: charges follow a renamed subscription, and
-- nobody is ended as one half of a deadlock with a charge. And a request id is refused only where it would be sent.

-- migrate: up

-- The charges of a subscription that gets another id go on deciding for it; their request ids stay theirs. The rows of
-- one statement come in the order in which their ids were free, so that ids may also be handed on. What an id without a
-- subscription had kept is retired. Events stay under the old id: the numbers of a subject never go back.
CREATE FUNCTION move_charges_of_renamed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
DECLARE
    retired bigint[];
BEGIN
    WITH updated AS (
        UPDATE charge c SET retired_at = clock_timestamp()
        WHERE c.subscription_id = NEW.id AND c.retired_at IS NULL
        RETURNING c.id)
    SELECT array_agg(u.id) INTO retired FROM updated u;
    DELETE FROM charge_request r WHERE r.charge_id = ANY (retired);
    UPDATE charge c SET subscription_id = NEW.id WHERE c.subscription_id = OLD.id AND c.retired_at IS NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER subscription_renamed AFTER UPDATE OF id ON subscription
    FOR EACH ROW WHEN (NEW.id <> OLD.id) EXECUTE FUNCTION move_charges_of_renamed();

-- As before, and a call for whose end nobody waits gives up too, to be asked again. Who has waited for a second
-- (deadlock_timeout) looks for a deadlock, and is ended when there is one: that would be an outsider who came after us.
CREATE OR REPLACE FUNCTION lock_together(p_kind text, p_keys text[], p_others_wait boolean) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM set_config('lock_timeout', CASE WHEN p_others_wait THEN '50ms' ELSE '200ms' END, true);
    PERFORM pg_advisory_xact_lock(k.number) FROM (
        SELECT DISTINCT hashtextextended(p_kind || ' ' || key, 0) AS number FROM unnest(p_keys) key ORDER BY 1) k;
END $$;

-- As before, but an order in doubt is sent again whatever the request id, and one that runs is waited for.
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

-- As before, and whoever truncates subscriptions is waited for before a row of the ledger is locked, since the trigger
-- that retires the charges needs that row. publish_charge reads the table.
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

-- migrate: down

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

CREATE OR REPLACE FUNCTION begin_charge(
    p_subscription varchar, p_request varchar, p_zone text, p_lease_milliseconds integer, p_only_watch boolean,
    OUT outcome text, OUT reason text, OUT charge_id bigint, OUT charge_period text, OUT charge_attempt integer,
    OUT sent_request text, OUT customer text, OUT sku integer, OUT charge_state text,
    OUT charged timestamp, OUT recorded_order text
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    found_charge charge;
    owner charge;
    club integer;
    status integer;
BEGIN
    charge_period := billing_period(moment, p_zone);
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
        IF FOUND AND owner.subscription_id <> p_subscription THEN
            outcome := 'request-id-reused';
            reason := 'another subscription';
            RETURN;
        ELSIF FOUND AND owner.period <> charge_period THEN
            -- A repeat of last month's request settles last month's doubt; it is no request for this month.
            IF owner.state NOT IN ('sending', 'unknown') THEN
                outcome := 'request-id-reused';
                reason := 'the month ' || owner.period || ' of this subscription';
                RETURN;
            END IF;
            charge_period := owner.period;
        END IF;
        SELECT * INTO found_charge FROM charge c
        WHERE c.subscription_id = p_subscription AND c.period = charge_period AND c.retired_at IS NULL
        FOR UPDATE;
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

CREATE OR REPLACE FUNCTION lock_together(p_kind text, p_keys text[], p_others_wait boolean) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF p_others_wait THEN
        PERFORM set_config('lock_timeout', '50ms', true);
    END IF;
    PERFORM pg_advisory_xact_lock(k.number) FROM (
        SELECT DISTINCT hashtextextended(p_kind || ' ' || key, 0) AS number FROM unnest(p_keys) key ORDER BY 1) k;
END $$;
DROP TRIGGER subscription_renamed ON subscription;
DROP FUNCTION move_charges_of_renamed();
