-- What migrations/subscriptions/ makes of an empty database. Written by "make schema".

CREATE FUNCTION public.begin_charge(p_subscription character varying, p_request character varying, p_zone text, p_lease_milliseconds integer, p_only_watch boolean, OUT outcome text, OUT reason text, OUT charge_id bigint, OUT charge_period text, OUT charge_attempt integer, OUT sent_request text, OUT customer text, OUT sku integer, OUT charge_state text, OUT charged timestamp without time zone, OUT recorded_order text) RETURNS record
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.begin_charge_once(p_subscription character varying, p_request character varying, p_zone text, p_lease_milliseconds integer, p_only_watch boolean, OUT outcome text, OUT reason text, OUT charge_id bigint, OUT charge_period text, OUT charge_attempt integer, OUT sent_request text, OUT customer text, OUT sku integer, OUT charge_state text, OUT charged timestamp without time zone, OUT recorded_order text) RETURNS record
    LANGUAGE plpgsql
    AS $$
DECLARE
    month text;
    open_charge charge;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('charge ' || p_subscription, 0));
    month := billing_period(clock_timestamp(), p_zone);
    -- The month's own, and the one that a repeat of last month's request would settle.
    SELECT c.* INTO open_charge FROM charge c
    WHERE c.subscription_id = p_subscription AND c.retired_at IS NULL AND c.state IN ('sending', 'unknown')
        AND (c.period = month
             OR c.id = (SELECT r.charge_id FROM charge_request r WHERE r.request_id = p_request))
    ORDER BY c.state = 'unknown' DESC, c.lease_until LIMIT 1;
    IF (open_charge.state = 'unknown' OR open_charge.lease_until <= clock_timestamp())
        AND NOT EXISTS (
            SELECT FROM charge c WHERE c.subscription_id = p_subscription AND c.period = month
                AND c.retired_at IS NULL AND c.state = 'charged')
    THEN
        outcome := 'in-doubt';
        charge_id := open_charge.id;
        charge_period := open_charge.period;
        RETURN;
    END IF;
    -- Only watched: a lease that ends, or a month that begins, between the look above and the one below must not be
    -- taken over either.
    SELECT b.* INTO outcome, reason, charge_id, charge_period, charge_attempt, sent_request, customer, sku,
        charge_state, charged, recorded_order
    FROM begin_charge(
        p_subscription, p_request, p_zone, p_lease_milliseconds, p_only_watch OR open_charge.id IS NOT NULL) b;
    -- The state is the one before this attempt.
    IF outcome = 'begun' AND charge_state IN ('sending', 'unknown') THEN
        RAISE EXCEPTION 'a charge in doubt became that of % at this moment', p_subscription
            USING ERRCODE = 'serialization_failure';
    END IF;
END $$;

CREATE FUNCTION public.begin_charges(p_subscriptions character varying[], p_requests character varying[], p_zone text, p_leases integer[], p_only_watch boolean[], p_once boolean, p_others_wait boolean) RETURNS TABLE(outcome text, reason text, charge_id bigint, charge_period text, charge_attempt integer, sent_request text, customer text, sku integer, charge_state text, charged timestamp without time zone, recorded_order text)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

COMMENT ON FUNCTION public.begin_charges(p_subscriptions character varying[], p_requests character varying[], p_zone text, p_leases integer[], p_only_watch boolean[], p_once boolean, p_others_wait boolean) IS 'Decides what requests to charge may do, and writes that an attempt begins before anything is sent. Outcome:
  begun                   send sent_request with customer and sku, then call finish_charges
  charged                 already charged: the recorded answer
  in-progress             another attempt runs (or, with p_only_watch, has ended without a charge)
  in-doubt                where nothing may be sent twice: an operator settles it
  subscription-not-found, not-chargeable (reason says why), request-id-reused (reason says by whom)';

CREATE FUNCTION public.billing_period(p_at timestamp with time zone, p_zone text) RETURNS character
    LANGUAGE sql STABLE
    RETURN to_char((p_at AT TIME ZONE p_zone), 'YYYY-MM'::text);

CREATE FUNCTION public.change_status(p_subscriptions character varying[], p_statuses integer[], p_effects timestamp without time zone[], p_days integer[], p_details character varying[], p_histories character varying[], p_returns character varying[], p_traces character varying[], p_correlations character varying[], p_others_wait boolean) RETURNS TABLE(outcome text, effect timestamp without time zone, returns timestamp without time zone)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

COMMENT ON FUNCTION public.change_status(p_subscriptions character varying[], p_statuses integer[], p_effects timestamp without time zone[], p_days integer[], p_details character varying[], p_histories character varying[], p_returns character varying[], p_traces character varying[], p_correlations character varying[], p_others_wait boolean) IS 'Changes the status of subscriptions, each at most once in a call. Outcome: changed, subscription-not-found.';

CREATE FUNCTION public.chargeable_club(p_at timestamp without time zone) RETURNS SETOF integer
    LANGUAGE sql STABLE
    AS $$
    SELECT c.id FROM club c
    WHERE (SELECT h.club_status_id FROM club_status_history h
           WHERE h.club_id = c.id AND h.effect_date <= p_at
           ORDER BY h.effect_date DESC, h.create_date DESC NULLS LAST, h.id DESC LIMIT 1) IN (1, 2)
$$;

CREATE FUNCTION public.claim_share(p_share integer) RETURNS boolean
    LANGUAGE sql
    RETURN ((current_setting('transaction_isolation'::text) = ANY (ARRAY['read committed'::text, 'read uncommitted'::text])) AND pg_try_advisory_xact_lock(1635018102, p_share));

CREATE FUNCTION public.claim_unsettled(p_limit integer, p_lease_milliseconds integer) RETURNS TABLE(charge_id bigint, charge_attempt integer, subscription text, charge_period text, sent_request text, customer text, sku integer)
    LANGUAGE sql
    SET enable_sort TO 'off'
    AS $$
    WITH due AS (
        SELECT c.id FROM charge c
        WHERE c.state IN ('sending', 'unknown')
            AND coalesce(c.settle_at, c.lease_until) <= (SELECT clock_timestamp())
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
        WHERE c.id = ANY (ARRAY(SELECT d.id FROM due d)) RETURNING c.*),
    written AS (
        INSERT INTO charge_event (charge_id, attempt, request_id, what)
        SELECT c.id, c.attempt, c.request_id, 'begun' FROM claimed c)
    SELECT c.id, c.attempt, c.subscription_id, c.period, c.request_id, c.customer_id, c.sku_id FROM claimed c
$$;

COMMENT ON FUNCTION public.claim_unsettled(p_limit integer, p_lease_milliseconds integer) IS 'Takes charges in doubt whose time has come, to send each again under its request id, then call finish_charges.';

CREATE FUNCTION public.commit_charge_durably() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.current_club_status(p_club integer, p_at timestamp without time zone) RETURNS integer
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    RETURN (
        SELECT h.club_status_id FROM club_status_history h
        WHERE h.club_id = p_club AND h.effect_date <= p_at
        ORDER BY h.effect_date DESC, h.create_date DESC NULLS LAST, h.id DESC
        LIMIT 1);
END $$;

CREATE FUNCTION public.current_subscription_status(p_subscription character varying, p_at timestamp without time zone) RETURNS integer
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    RETURN (
        SELECT h.status_id FROM subscription_status_history h
        WHERE h.subscription_id = p_subscription AND h.effect_date <= p_at
        ORDER BY h.effect_date DESC, h.create_date DESC NULLS LAST, h.id DESC
        LIMIT 1);
END $$;

CREATE FUNCTION public.eligibility_terms(p_at timestamp without time zone, OUT at timestamp without time zone, OUT last_club integer, OUT clubs bytea, OUT any_unsettled boolean, OUT all_unsettled boolean) RETURNS record
    LANGUAGE sql STABLE
    AS $$
    SELECT p_at, least(max(c.id), 999),
        (SELECT string_agg(CASE WHEN n IN (SELECT chargeable_club(p_at)) THEN '\x01'::bytea ELSE '\x00' END, '' ORDER BY n)
         FROM generate_series(0, least(max(c.id), 999)) n),
        EXISTS (SELECT FROM unsettled_subscription),
        EXISTS (SELECT FROM unsettled_subscription u WHERE u.subscription_id IS NULL)
    FROM club c
$$;

CREATE FUNCTION public.eligible_by_definition(p_at timestamp without time zone) RETURNS SETOF character varying
    LANGUAGE sql STABLE
    AS $$
    SELECT s.id FROM subscription s
    WHERE s.club_id IN (SELECT chargeable_club(p_at))
        AND (SELECT h.status_id FROM subscription_status_history h
             WHERE h.subscription_id = s.id AND h.effect_date <= p_at
             ORDER BY h.effect_date DESC, h.create_date DESC NULLS LAST, h.id DESC LIMIT 1) = 1
$$;

CREATE FUNCTION public.eligible_in_json(p_at timestamp without time zone, p_part integer, p_parts integer) RETURNS SETOF text
    LANGUAGE sql STABLE
    AS $$
    WITH terms AS MATERIALIZED (SELECT * FROM eligibility_terms(p_at))
    SELECT piece.ids
    FROM generate_series(
            32 * p_part, pg_relation_size('active_interval') / current_setting('block_size')::integer, 32 * p_parts)
            block,
        LATERAL (
            SELECT '"' || string_agg(coalesce(i.json_id, i.subscription_id), '","') || '"' AS ids
            FROM active_interval i
            WHERE i.ctid >= format('(%s,0)', block)::tid AND i.ctid < format('(%s,0)', block + 32)::tid
                AND i.since <= (SELECT at FROM terms) AND i.until > (SELECT at FROM terms)
                AND CASE WHEN i.club_id BETWEEN 0 AND (SELECT last_club FROM terms)
                    THEN get_byte((SELECT clubs FROM terms), i.club_id) = 1
                    ELSE i.club_id IN (SELECT chargeable_club((SELECT at FROM terms))) END
                AND (NOT (SELECT any_unsettled FROM terms) OR NOT (SELECT all_unsettled FROM terms) AND NOT EXISTS (
                    SELECT FROM unsettled_subscription u WHERE u.subscription_id = i.subscription_id))
        ) piece
    WHERE piece.ids IS NOT NULL
    UNION ALL
    SELECT to_json(e.id)::text FROM eligible_unsettled(p_at, (SELECT all_unsettled FROM terms)) e(id)
    WHERE (SELECT any_unsettled FROM terms) AND p_part = 0
$$;

CREATE FUNCTION public.eligible_page(p_at timestamp without time zone, p_after character varying, p_limit integer) RETURNS SETOF character varying
    LANGUAGE sql STABLE
    AS $$
    WITH terms AS MATERIALIZED (SELECT * FROM eligibility_terms(p_at))
    (SELECT i.subscription_id FROM active_interval i
     WHERE i.subscription_id >= coalesce(p_after, '') AND i.subscription_id IS DISTINCT FROM p_after
        AND i.since <= (SELECT at FROM terms) AND i.until > (SELECT at FROM terms)
        AND (i.club_id IN (SELECT chargeable_club((SELECT at FROM terms)))) IS TRUE
        AND (NOT (SELECT any_unsettled FROM terms) OR NOT (SELECT all_unsettled FROM terms) AND NOT EXISTS (
            SELECT FROM unsettled_subscription u WHERE u.subscription_id = i.subscription_id))
     ORDER BY i.subscription_id LIMIT p_limit)
    UNION ALL
    (SELECT e.id FROM eligible_unsettled(p_at, (SELECT all_unsettled FROM terms)) e(id)
     WHERE (SELECT any_unsettled FROM terms) AND e.id >= coalesce(p_after, '') AND e.id IS DISTINCT FROM p_after
     ORDER BY e.id LIMIT p_limit)
    ORDER BY 1 LIMIT p_limit
$$;

CREATE FUNCTION public.eligible_page_now(p_after character varying, p_limit integer) RETURNS SETOF character varying
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM set_config('lock_timeout', '200ms', true);
    LOCK TABLE club, club_status_history, subscription, subscription_status_history, active_interval,
        unsettled_subscription IN ACCESS SHARE MODE;
    RETURN QUERY SELECT e.id FROM eligible_page((SELECT utc_now()), p_after, p_limit) e(id);
END $$;

CREATE FUNCTION public.eligible_unsettled(p_at timestamp without time zone, p_all boolean) RETURNS SETOF character varying
    LANGUAGE sql STABLE
    AS $$
    SELECT s.id
    FROM (SELECT u.subscription_id FROM unsettled_subscription u UNION SELECT a.id FROM subscription a WHERE p_all)
        candidate(id)
    JOIN subscription s ON s.id = candidate.id
    WHERE s.club_id IN (SELECT chargeable_club(p_at)) AND current_subscription_status(s.id, p_at) = 1
$$;

CREATE FUNCTION public.escaped_in_json(p_id character varying) RETURNS text
    LANGUAGE sql STABLE
    RETURN NULLIF(substr((to_json(p_id))::text, 2, (length((to_json(p_id))::text) - 2)), (p_id)::text);

CREATE FUNCTION public.finish_charge(p_charge bigint, p_attempt integer, p_request character varying, p_outcome text, p_platform_status integer, p_order text, p_excerpt character varying, OUT charge_state text, OUT sent_request text, OUT charged timestamp without time zone, OUT recorded_order text) RETURNS record
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.finish_charges(p_charges bigint[], p_attempts integer[], p_requests character varying[], p_outcomes text[], p_platform_statuses integer[], p_orders text[], p_excerpts character varying[], p_subscriptions character varying[], p_traces character varying[], p_correlations character varying[], p_others_wait boolean) RETURNS TABLE(charge_state text, sent_request text, charged timestamp without time zone, recorded_order text)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

COMMENT ON FUNCTION public.finish_charges(p_charges bigint[], p_attempts integer[], p_requests character varying[], p_outcomes text[], p_platform_statuses integer[], p_orders text[], p_excerpts character varying[], p_subscriptions character varying[], p_traces character varying[], p_correlations character varying[], p_others_wait boolean) IS 'Writes what came of attempts: charged, declined, released (not sent, or refused for our own sake) or unknown. Refuses
(23503) the outcome of a request id that its charge has never had, but for the charge of the same subscription.';

CREATE FUNCTION public.history_appended(p_id character varying, p_subscription character varying, p_status integer, p_effect timestamp without time zone) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF p_subscription IS NULL OR p_effect IS NULL THEN
        RETURN;
    ELSIF NOT claim_share(lock_share(p_subscription)) THEN
        INSERT INTO unsettled_subscription VALUES (p_subscription);
        RETURN;
    ELSIF EXISTS (
        SELECT FROM subscription_status_history h
        WHERE h.subscription_id = p_subscription AND h.effect_date >= p_effect AND h.id <> p_id)
    THEN
        PERFORM settle_share(lock_share(p_subscription), ARRAY[p_subscription]);
        RETURN;
    END IF;
    IF p_effect > utc_now() THEN
        -- Another trigger of the same statement may have settled the subscription with the row in it.
        DELETE FROM active_interval i WHERE i.subscription_id = p_subscription AND i.since >= p_effect;
        UPDATE active_interval i SET until = p_effect
        WHERE i.subscription_id = p_subscription AND i.until = 'infinity';
    ELSE
        DELETE FROM active_interval i WHERE i.subscription_id = p_subscription;
    END IF;
    IF p_status = 1 AND p_effect < 'infinity' THEN
        INSERT INTO active_interval (since, until, club_id, subscription_id, json_id)
        SELECT p_effect, 'infinity', s.club_id, s.id, escaped_in_json(s.id)
        FROM subscription s WHERE s.id = p_subscription AND s.club_id IS NOT NULL;
    END IF;
END $$;

CREATE FUNCTION public.history_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT lock_share(o.subscription_id) AS share, array_agg(DISTINCT o.subscription_id) AS subscriptions
        FROM old_rows o WHERE o.subscription_id IS NOT NULL GROUP BY 1
    LOOP
        PERFORM settle_share(part.share, part.subscriptions);
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION public.history_inserted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    few integer := (
        SELECT count(*) FROM (SELECT FROM new_rows n WHERE n.subscription_id IS NOT NULL LIMIT 65) n);
    written integer;
    part record;
BEGIN
    IF few = 0 THEN
        -- Nor is `subscription` read: who truncates it may be waiting for this transaction.
        RETURN NULL;
    ELSIF few <= 64 THEN
        -- Nobody else sees a subscription that this transaction has made. One that it has updated looks the same: that
        -- update has claimed it or noted it as unsettled.
        INSERT INTO active_interval (since, until, club_id, subscription_id, json_id)
        SELECT n.effect_date, 'infinity', s.club_id, s.id, escaped_in_json(s.id)
        FROM new_rows n JOIN subscription s ON s.id = n.subscription_id
        WHERE s.xmin = pg_current_xact_id()::xid
            AND n.status_id = 1 AND n.effect_date < 'infinity' AND s.club_id IS NOT NULL
            AND NOT EXISTS (
                SELECT FROM subscription_status_history h
                WHERE h.subscription_id = n.subscription_id AND h.id <> n.id)
            -- Where the statement fires another of these triggers too, that one may have come first and written it.
            -- OFFSET keeps the look to the subscriptions of this transaction, one by one.
            AND NOT EXISTS (SELECT FROM active_interval i WHERE i.subscription_id = s.id OFFSET 0);
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written = few THEN
            RETURN NULL;
        ELSIF written = 0 AND (few = 1 OR (SELECT count(DISTINCT n.subscription_id) FROM new_rows n) = few) THEN
            PERFORM history_appended(n.id, n.subscription_id, n.status_id, n.effect_date) FROM new_rows n;
            RETURN NULL;
        END IF;
    END IF;
    FOR part IN
        SELECT lock_share(n.subscription_id) AS share, array_agg(DISTINCT n.subscription_id) AS subscriptions
        FROM new_rows n WHERE n.subscription_id IS NOT NULL GROUP BY 1
    LOOP
        PERFORM settle_share(part.share, part.subscriptions);
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION public.history_truncated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    unclaimed integer[];
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        -- The snapshot may hide intervals whose history is gone now.
        INSERT INTO unsettled_subscription VALUES (NULL);
        RETURN NULL;
    END IF;
    unclaimed := ARRAY(
        SELECT present.share FROM (SELECT DISTINCT lock_share(i.subscription_id) AS share FROM active_interval i) present
        WHERE NOT claim_share(present.share));
    INSERT INTO unsettled_subscription
    SELECT i.subscription_id FROM active_interval i WHERE lock_share(i.subscription_id) = ANY (unclaimed);
    DELETE FROM active_interval i WHERE lock_share(i.subscription_id) <> ALL (unclaimed);
    RETURN NULL;
END $$;

CREATE FUNCTION public.history_updated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT lock_share(c.subscription_id) AS share, array_agg(DISTINCT c.subscription_id) AS subscriptions
        FROM (SELECT o.subscription_id FROM old_rows o UNION ALL SELECT n.subscription_id FROM new_rows n) c
        WHERE c.subscription_id IS NOT NULL GROUP BY 1
    LOOP
        PERFORM settle_share(part.share, part.subscriptions);
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION public.hold_charged_subscription() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION public.keep_doubt_since() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.doubt_since := CASE WHEN NEW.in_doubt THEN least(OLD.lease_until, clock_timestamp()) END;
    RETURN NEW;
END $$;

CREATE FUNCTION public.lock_share(p_subscription character varying) RETURNS integer
    LANGUAGE sql IMMUTABLE
    RETURN (hashtext((p_subscription)::text) & 1023);

CREATE FUNCTION public.lock_together(p_kind text, p_keys text[], p_others_wait boolean) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM set_config('lock_timeout', CASE WHEN p_others_wait THEN '50ms' ELSE '200ms' END, true);
    PERFORM pg_advisory_xact_lock(k.number) FROM (
        SELECT DISTINCT hashtextextended(p_kind || ' ' || key, 0) AS number FROM unnest(p_keys) key ORDER BY 1) k;
END $$;

CREATE FUNCTION public.move_charges_of_renamed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION public.publish_charge() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    correlation text := nullif(current_setting('taproom.correlation', true), '');
    club integer;
    reason text;
    number bigint;
BEGIN
    SELECT s.club_id INTO club FROM subscription s WHERE s.id = NEW.subscription_id;
    IF NEW.state = 'declined' THEN
        SELECT CASE WHEN e.what = 'declined' AND e.attempt = OLD.attempt AND OLD.state = 'sending'
                    THEN 'the platform answered ' || e.platform_status
                    ELSE 'an operator found that nothing was charged' END INTO reason
        FROM charge_event e WHERE e.charge_id = NEW.id ORDER BY e.id DESC LIMIT 1;
    END IF;
    INSERT INTO event_sequence AS e (subject, last) VALUES (NEW.subscription_id, 2)
    ON CONFLICT (subject) DO UPDATE SET last = e.last + 1 RETURNING e.last INTO number;
    INSERT INTO outbox (type, subject, sequence, data, traceparent, correlation_id, causation_id)
    VALUES (
        CASE NEW.state WHEN 'charged' THEN 'subscription.charged' ELSE 'subscription.charge_declined' END,
        NEW.subscription_id, number,
        -- The platform's order as it came, to the byte.
        '{"subscription":' || subscription_json(NEW.subscription_id, club, NEW.customer_id)
            || ',"period":"' || NEW.period || '","request_id":' || to_json(NEW.request_id::text)
            || coalesce(',"reason":' || to_json(reason), '') || coalesce(',"order":' || NEW.platform_order, '') || '}',
        nullif(current_setting('taproom.traceparent', true), ''), correlation, correlation);
    RETURN NULL;
END $$;

CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE FUNCTION public.retire_all_charges() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    UPDATE charge SET retired_at = clock_timestamp() WHERE retired_at IS NULL;
    DELETE FROM charge_request;
    RETURN NULL;
END $$;

CREATE FUNCTION public.retire_charges_of_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    retired bigint[];
BEGIN
    WITH updated AS (
        UPDATE charge c SET retired_at = clock_timestamp()
        FROM deleted d WHERE c.subscription_id = d.id AND c.retired_at IS NULL
        RETURNING c.id)
    SELECT array_agg(u.id) INTO retired FROM updated u;
    DELETE FROM charge_request r WHERE r.charge_id = ANY (retired);
    RETURN NULL;
END $$;

CREATE FUNCTION public.rfc3339(p_at timestamp without time zone) RETURNS text
    LANGUAGE sql STABLE
    RETURN to_char(p_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'::text);

CREATE FUNCTION public.set_event_cause(p_trace text, p_correlation text) RETURNS void
    LANGUAGE sql
    AS $$
    SELECT set_config('taproom.traceparent', coalesce(p_trace, ''), true),
           set_config('taproom.correlation', coalesce(p_correlation, ''), true)
$$;

CREATE FUNCTION public.settle_charge(p_charge bigint, p_outcome text, p_order text, p_who text, p_why text, OUT outcome text) RETURNS text
    LANGUAGE plpgsql
    AS $$
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

COMMENT ON FUNCTION public.settle_charge(p_charge bigint, p_outcome text, p_order text, p_who text, p_why text, OUT outcome text) IS 'An operator says what came of a charge: p_outcome is charged, with p_order, or not-charged. Outcome:
  settled
  outcome-unknown-word, order-missing, order-not-allowed, who-missing, why-missing    nothing was looked at
  charge-not-found, already-charged, attempt-running                                  nothing was changed
  not-in-doubt                                  nothing was charged as it is: there is nothing to settle';

CREATE FUNCTION public.settle_share(p_share integer, p_subscriptions character varying[]) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT claim_share(p_share) THEN
        INSERT INTO unsettled_subscription SELECT unnest(p_subscriptions);
        RETURN false;
    END IF;
    -- The writer of one approved table need not have the other: to wait for who truncates it could be a deadlock.
    BEGIN
        LOCK TABLE subscription, subscription_status_history IN ACCESS SHARE MODE NOWAIT;
    EXCEPTION WHEN lock_not_available THEN
        INSERT INTO unsettled_subscription SELECT unnest(p_subscriptions);
        RETURN false;
    END;
    -- One statement, so that both parts see the same.
    WITH old AS (
        DELETE FROM active_interval i WHERE i.subscription_id = ANY (p_subscriptions))
    INSERT INTO active_interval (since, until, club_id, subscription_id, json_id)
    SELECT d.since, d.until, d.club_id, d.subscription_id, escaped_in_json(d.subscription_id)
    FROM unnest(p_subscriptions) changed(id),
        -- OFFSET keeps the planner from computing everybody's intervals for the sake of a few.
        LATERAL (SELECT * FROM active_interval_definition a WHERE a.subscription_id = changed.id OFFSET 0) d
    WHERE d.until > utc_now();
    RETURN true;
END $$;

CREATE FUNCTION public.settle_subscriptions(p_limit integer) RETURNS integer
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET lock_timeout TO '200ms'
    AS $$
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

COMMENT ON FUNCTION public.settle_subscriptions(p_limit integer) IS 'Brings the intervals of unsettled subscriptions up to date, at most p_limit of them. Returns how many:
none also when somebody is in the way.';

CREATE FUNCTION public.subscription_json(p_subscription text, p_club integer, p_customer text) RETURNS text
    LANGUAGE sql STABLE
    RETURN (((((('{"id":'::text || to_json(p_subscription)) || ',"club_id":'::text) || COALESCE((p_club)::text, 'null'::text)) || ',"customer_id":'::text) || COALESCE((to_json(p_customer))::text, 'null'::text)) || '}'::text);

CREATE FUNCTION public.status_event_data(p_subscription text, p_club integer, p_customer text, p_status integer, p_effect timestamp without time zone, p_returns timestamp without time zone) RETURNS text
    LANGUAGE sql STABLE
    RETURN (((((((('{"subscription":'::text || public.subscription_json(p_subscription, p_club, p_customer)) || ',"status_id":'::text) || p_status) || ',"effect_date":"'::text) || public.rfc3339(p_effect)) || '"'::text) || COALESCE(((',"returns_at":"'::text || public.rfc3339(p_returns)) || '"'::text), ''::text)) || '}'::text);

CREATE FUNCTION public.status_event_type(p_status integer) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE p_status WHEN 1 THEN 'subscription.activated'::text WHEN 2 THEN 'subscription.cancelled'::text ELSE 'subscription.paused'::text END;

CREATE FUNCTION public.subscribe(p_clubs integer[], p_customers character varying[], p_subscriptions character varying[], p_histories character varying[], p_traces character varying[], p_correlations character varying[], p_others_wait boolean) RETURNS TABLE(outcome text, subscription_id character varying, created timestamp without time zone)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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
        FROM unnest(p_clubs, p_customers, p_subscriptions, p_histories, p_traces, p_correlations) WITH ORDINALITY
            AS r (club, customer, subscription, history, trace, correlation, place)),
    fresh AS MATERIALIZED (
        SELECT DISTINCT ON (a.club, a.customer) a.* FROM asked a
        WHERE a.status = 1 AND a.existing IS NULL ORDER BY a.club, a.customer, a.place),
    subscribed AS (
        INSERT INTO subscription (id, club_id, customer_store_id, create_date)
        SELECT f.subscription, f.club, f.customer, moment FROM fresh f),
    activated AS (
        INSERT INTO subscription_status_history (id, subscription_id, status_id, effect_date, create_date, details)
        SELECT f.history, f.subscription, 1, moment, moment, 'Subscribed' FROM fresh f),
    published AS (
        INSERT INTO outbox (id, type, subject, sequence, data, traceparent, correlation_id, causation_id)
        SELECT f.history::uuid, 'subscription.created', f.subscription, 1,
            status_event_data(f.subscription, f.club, f.customer, 1, moment, NULL),
            f.trace, f.correlation, f.correlation FROM fresh f)
    SELECT
        CASE WHEN a.status = 1 THEN CASE WHEN f.place = a.place THEN 'subscribed' ELSE 'already-subscribed' END
             WHEN EXISTS (SELECT FROM club c WHERE c.id = a.club) THEN 'club-not-active'
             ELSE 'club-not-found' END,
        CASE WHEN a.status = 1 THEN coalesce(a.existing, f.subscription) END,
        CASE WHEN f.place = a.place THEN moment END
    FROM asked a LEFT JOIN fresh f ON f.club = a.club AND f.customer = a.customer
    ORDER BY a.place;
END $$;

COMMENT ON FUNCTION public.subscribe(p_clubs integer[], p_customers character varying[], p_subscriptions character varying[], p_histories character varying[], p_traces character varying[], p_correlations character varying[], p_others_wait boolean) IS 'Subscribes customers to clubs, each at most once however many ask at the same time. Outcome: subscribed,
already-subscribed (with the id of the first), club-not-active, club-not-found. With p_others_wait whoever holds a lock
that it needs is waited for only a moment (55P03, nothing written), as in the other functions that have it.';

CREATE FUNCTION public.subscription_updated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT lock_share(c.id) AS share, array_agg(DISTINCT c.id) AS subscriptions
        FROM (SELECT o.id FROM old_rows o UNION ALL SELECT n.id FROM new_rows n) c GROUP BY 1
    LOOP
        PERFORM settle_share(part.share, part.subscriptions);
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION public.utc_now() RETURNS timestamp without time zone
    LANGUAGE sql
    RETURN (clock_timestamp() AT TIME ZONE 'UTC'::text);

CREATE FUNCTION public.wrong_active_intervals() RETURNS SETOF character varying
    LANGUAGE sql STABLE
    SET enable_nestloop TO 'off'
    AS $$
    WITH moment AS MATERIALIZED (SELECT now() AT TIME ZONE 'UTC' AS at),
    kept AS (SELECT i.since, i.until, i.club_id, i.subscription_id FROM active_interval i, moment
             WHERE i.until > moment.at),
    meant AS (SELECT d.since, d.until, d.club_id, d.subscription_id FROM active_interval_definition d, moment
              WHERE d.until > moment.at)
    SELECT subscription_id FROM (
        (SELECT * FROM kept EXCEPT ALL SELECT * FROM meant) UNION (SELECT * FROM meant EXCEPT ALL SELECT * FROM kept)
    ) different
    WHERE NOT EXISTS (SELECT FROM unsettled_subscription u WHERE u.subscription_id IS NULL)
    EXCEPT SELECT u.subscription_id FROM unsettled_subscription u
$$;

CREATE TABLE public.active_interval (
    since timestamp without time zone NOT NULL,
    until timestamp without time zone NOT NULL,
    club_id integer NOT NULL,
    subscription_id character varying(36) NOT NULL,
    json_id text
);

CREATE TABLE public.subscription (
    id character varying(36) NOT NULL,
    club_id integer,
    customer_store_id character varying(36),
    create_date timestamp without time zone
);

CREATE TABLE public.subscription_status_history (
    id character varying(36) NOT NULL,
    subscription_id character varying(36),
    status_id integer,
    effect_date timestamp without time zone,
    create_date timestamp without time zone,
    details character varying(256)
);

CREATE VIEW public.active_interval_definition AS
 SELECT h.since,
    h.until,
    s.club_id,
    h.subscription_id
   FROM (( SELECT r.subscription_id,
            r.status_id,
            r.effect_date AS since,
            COALESCE(lag(r.effect_date) OVER (PARTITION BY r.subscription_id ORDER BY r.effect_date DESC, r.create_date DESC NULLS LAST, r.id DESC), 'infinity'::timestamp without time zone) AS until
           FROM public.subscription_status_history r
          WHERE (r.effect_date IS NOT NULL)) h
     JOIN public.subscription s ON (((s.id)::text = (h.subscription_id)::text)))
  WHERE ((h.status_id = 1) AND (h.since < h.until) AND (s.club_id IS NOT NULL));

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);

CREATE SEQUENCE public.charge_number
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.charge (
    id bigint DEFAULT nextval('public.charge_number'::regclass) NOT NULL,
    subscription_id character varying(36) NOT NULL,
    period character(7) NOT NULL,
    state character varying(8) NOT NULL,
    request_id character varying(128) NOT NULL,
    customer_id character varying(36) NOT NULL,
    sku_id integer NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    in_doubt boolean DEFAULT false NOT NULL,
    lease_until timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    charged_at timestamp with time zone,
    platform_order text,
    retired_at timestamp with time zone,
    settle_at timestamp with time zone,
    settle_count integer DEFAULT 0 NOT NULL,
    doubt_since timestamp with time zone,
    CONSTRAINT charge_check CHECK (((charged_at IS NOT NULL) = ((state)::text = 'charged'::text))),
    CONSTRAINT charge_check1 CHECK (((platform_order IS NOT NULL) = ((state)::text = 'charged'::text))),
    CONSTRAINT charge_state_check CHECK (((state)::text = ANY ((ARRAY['sending'::character varying, 'charged'::character varying, 'declined'::character varying, 'released'::character varying, 'unknown'::character varying])::text[])))
);

CREATE VIEW public.charge_doubt AS
 SELECT c.id AS charge_id,
    c.subscription_id,
    c.period,
    c.request_id,
    COALESCE(c.doubt_since, c.lease_until) AS since,
    c.settle_at,
    c.settle_count,
    c.retired_at
   FROM public.charge c
  WHERE (((c.state)::text = 'unknown'::text) OR (((c.state)::text = 'sending'::text) AND (c.in_doubt OR (c.lease_until <= clock_timestamp()))));

CREATE TABLE public.charge_event (
    id bigint NOT NULL,
    charge_id bigint NOT NULL,
    attempt integer NOT NULL,
    request_id character varying(128) NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    what character varying(16) NOT NULL,
    platform_status integer,
    excerpt character varying(1024)
);

ALTER TABLE public.charge_event ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.charge_event_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.charge_request (
    request_id character varying(128) NOT NULL,
    charge_id bigint NOT NULL
);

CREATE TABLE public.charge_settlement (
    id bigint NOT NULL,
    charge_id bigint NOT NULL,
    outcome character varying(16) NOT NULL,
    platform_order text,
    who character varying(128) NOT NULL,
    why character varying(1024) NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT charge_settlement_check CHECK (((platform_order IS NOT NULL) = ((outcome)::text = 'charged'::text))),
    CONSTRAINT charge_settlement_outcome_check CHECK (((outcome)::text = ANY ((ARRAY['charged'::character varying, 'not-charged'::character varying])::text[]))),
    CONSTRAINT charge_settlement_who_check CHECK (((who)::text <> ''::text)),
    CONSTRAINT charge_settlement_why_check CHECK (((why)::text <> ''::text))
);

ALTER TABLE public.charge_settlement ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.charge_settlement_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.club (
    id integer NOT NULL,
    name character varying(128),
    store_sku integer
);

CREATE SEQUENCE public.club_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.club_id_seq OWNED BY public.club.id;

CREATE TABLE public.club_status (
    id integer NOT NULL,
    name character varying(128)
);

CREATE TABLE public.club_status_history (
    id character varying(36) NOT NULL,
    club_id integer,
    club_status_id integer,
    effect_date timestamp without time zone,
    create_date timestamp without time zone,
    details character varying(256)
);

CREATE SEQUENCE public.club_status_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.club_status_id_seq OWNED BY public.club_status.id;

CREATE VIEW public.eligible_subscription AS
 SELECT (e.id)::character varying(36) AS id
   FROM public.eligible_by_definition((now() AT TIME ZONE 'UTC'::text)) e(id);

CREATE TABLE public.event_sequence (
    subject character varying(36) NOT NULL,
    last bigint NOT NULL
);

CREATE TABLE public.inbox (
    consumer character varying(64) NOT NULL,
    event_id character varying(128) NOT NULL,
    received_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE public.outbox (
    "position" bigint NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    type character varying(64) NOT NULL,
    subject character varying(64) NOT NULL,
    sequence bigint NOT NULL,
    occurred_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    data text NOT NULL,
    traceparent character varying(55),
    correlation_id character varying(128),
    causation_id character varying(128),
    lane smallint GENERATED ALWAYS AS (abs((hashtext((subject)::text) % 8))) STORED NOT NULL,
    state character varying(10) DEFAULT 'waiting'::character varying NOT NULL,
    settled_at timestamp with time zone,
    CONSTRAINT outbox_state_check CHECK (((state)::text = ANY ((ARRAY['waiting'::character varying, 'sent'::character varying, 'unroutable'::character varying])::text[])))
);

CREATE TABLE public.outbox_lane (
    lane smallint NOT NULL,
    held_by character varying(64),
    held_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL
);

ALTER TABLE public.outbox ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.outbox_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.schedule_run (
    function character varying(64) NOT NULL,
    tick timestamp with time zone NOT NULL
);

CREATE TABLE public.status (
    id integer NOT NULL,
    name character varying(128)
);

CREATE SEQUENCE public.status_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.status_id_seq OWNED BY public.status.id;

CREATE TABLE public.superseded_return (
    id character varying(36) NOT NULL,
    subscription_id character varying(36) NOT NULL,
    effect_date timestamp without time zone NOT NULL,
    create_date timestamp without time zone,
    superseded_by character varying(36) NOT NULL,
    superseded_at timestamp without time zone NOT NULL
);

CREATE TABLE public.taproom_migration (
    revision character varying(32) NOT NULL,
    file text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.unsettled_subscription (
    subscription_id character varying(36)
);

ALTER TABLE ONLY public.club ALTER COLUMN id SET DEFAULT nextval('public.club_id_seq'::regclass);

ALTER TABLE ONLY public.club_status ALTER COLUMN id SET DEFAULT nextval('public.club_status_id_seq'::regclass);

ALTER TABLE ONLY public.status ALTER COLUMN id SET DEFAULT nextval('public.status_id_seq'::regclass);

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY public.charge_event
    ADD CONSTRAINT charge_event_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.charge
    ADD CONSTRAINT charge_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.charge_request
    ADD CONSTRAINT charge_request_pkey PRIMARY KEY (request_id);

ALTER TABLE ONLY public.charge_settlement
    ADD CONSTRAINT charge_settlement_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.club
    ADD CONSTRAINT club_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.club_status_history
    ADD CONSTRAINT club_status_history_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.club_status
    ADD CONSTRAINT club_status_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.event_sequence
    ADD CONSTRAINT event_sequence_pkey PRIMARY KEY (subject);

ALTER TABLE ONLY public.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY public.outbox_lane
    ADD CONSTRAINT outbox_lane_pkey PRIMARY KEY (lane);

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY public.schedule_run
    ADD CONSTRAINT schedule_run_pkey PRIMARY KEY (function);

ALTER TABLE ONLY public.status
    ADD CONSTRAINT status_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.subscription
    ADD CONSTRAINT subscription_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.subscription_status_history
    ADD CONSTRAINT subscription_status_history_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.taproom_migration
    ADD CONSTRAINT taproom_migration_pkey PRIMARY KEY (revision);

CREATE INDEX active_interval_subscription ON public.active_interval USING btree (subscription_id);

CREATE UNIQUE INDEX charge_decides ON public.charge USING btree (subscription_id, period) WHERE (retired_at IS NULL);

CREATE INDEX charge_due ON public.charge USING btree (COALESCE(settle_at, lease_until), id) WHERE ((state)::text = ANY ((ARRAY['sending'::character varying, 'unknown'::character varying])::text[]));

CREATE INDEX charge_event_charge ON public.charge_event USING btree (charge_id, id);

CREATE INDEX charge_refused ON public.charge USING btree (period) WHERE ((state)::text = ANY ((ARRAY['declined'::character varying, 'released'::character varying])::text[]));

CREATE INDEX charge_request_charge ON public.charge_request USING btree (charge_id);

CREATE INDEX charge_retired ON public.charge USING btree (subscription_id, period) WHERE (retired_at IS NOT NULL);

CREATE INDEX charge_settlement_charge ON public.charge_settlement USING btree (charge_id, id);

CREATE INDEX club_status_history_current ON public.club_status_history USING btree (club_id, effect_date DESC, create_date DESC NULLS LAST, id DESC) INCLUDE (club_status_id);

CREATE INDEX inbox_received_at ON public.inbox USING btree (received_at);

CREATE INDEX outbox_unroutable ON public.outbox USING btree ("position") WHERE ((state)::text = 'unroutable'::text);

CREATE INDEX outbox_waiting ON public.outbox USING btree (lane, "position") WHERE ((state)::text = 'waiting'::text);

CREATE INDEX subscription_club_customer ON public.subscription USING btree (club_id, customer_store_id);

CREATE INDEX subscription_status_history_current ON public.subscription_status_history USING btree (subscription_id, effect_date DESC, create_date DESC NULLS LAST, id DESC) INCLUDE (status_id);

CREATE INDEX superseded_return_subscription ON public.superseded_return USING btree (subscription_id);

CREATE INDEX unsettled_subscription_id ON public.unsettled_subscription USING btree (subscription_id);

CREATE TRIGGER active_interval_delete AFTER DELETE ON public.subscription_status_history REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.history_deleted();

CREATE TRIGGER active_interval_insert AFTER INSERT ON public.subscription_status_history REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.history_inserted();

CREATE TRIGGER active_interval_truncate AFTER TRUNCATE ON public.subscription_status_history FOR EACH STATEMENT EXECUTE FUNCTION public.history_truncated();

CREATE TRIGGER active_interval_update AFTER UPDATE ON public.subscription REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.subscription_updated();

CREATE TRIGGER active_interval_update AFTER UPDATE ON public.subscription_status_history REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.history_updated();

CREATE TRIGGER charge_commits_durably BEFORE INSERT OR UPDATE ON public.charge FOR EACH STATEMENT EXECUTE FUNCTION public.commit_charge_durably();

CREATE TRIGGER charge_doubt_since BEFORE UPDATE ON public.charge FOR EACH ROW WHEN ((new.in_doubt <> old.in_doubt)) EXECUTE FUNCTION public.keep_doubt_since();

CREATE TRIGGER charge_event_unchanged BEFORE UPDATE ON public.charge_event FOR EACH ROW EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER charge_holds_subscription BEFORE INSERT ON public.charge FOR EACH ROW WHEN ((((new.state)::text = 'sending'::text) AND (new.retired_at IS NULL))) EXECUTE FUNCTION public.hold_charged_subscription();

CREATE TRIGGER charge_published AFTER UPDATE ON public.charge FOR EACH ROW WHEN ((((new.state)::text IS DISTINCT FROM (old.state)::text) AND ((new.state)::text = ANY ((ARRAY['charged'::character varying, 'declined'::character varying])::text[])))) EXECUTE FUNCTION public.publish_charge();

CREATE TRIGGER charge_settlement_unchanged BEFORE UPDATE ON public.charge_settlement FOR EACH ROW EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER subscription_deleted AFTER DELETE ON public.subscription REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION public.retire_charges_of_deleted();

CREATE TRIGGER subscription_renamed AFTER UPDATE OF id ON public.subscription FOR EACH ROW WHEN (((new.id)::text <> (old.id)::text)) EXECUTE FUNCTION public.move_charges_of_renamed();

CREATE TRIGGER subscription_truncated AFTER TRUNCATE ON public.subscription FOR EACH STATEMENT EXECUTE FUNCTION public.retire_all_charges();

ALTER TABLE ONLY public.charge_event
    ADD CONSTRAINT charge_event_charge_id_fkey FOREIGN KEY (charge_id) REFERENCES public.charge(id);

ALTER TABLE ONLY public.charge_request
    ADD CONSTRAINT charge_request_charge_id_fkey FOREIGN KEY (charge_id) REFERENCES public.charge(id);

ALTER TABLE ONLY public.charge_settlement
    ADD CONSTRAINT charge_settlement_charge_id_fkey FOREIGN KEY (charge_id) REFERENCES public.charge(id);

ALTER TABLE ONLY public.club_status_history
    ADD CONSTRAINT club_status_history_club_id_fkey FOREIGN KEY (club_id) REFERENCES public.club(id) ON DELETE RESTRICT;

ALTER TABLE ONLY public.club_status_history
    ADD CONSTRAINT club_status_history_club_status_id_fkey FOREIGN KEY (club_status_id) REFERENCES public.club_status(id) ON DELETE RESTRICT;

ALTER TABLE ONLY public.subscription
    ADD CONSTRAINT subscription_club_id_fkey FOREIGN KEY (club_id) REFERENCES public.club(id) ON DELETE RESTRICT;

ALTER TABLE ONLY public.subscription_status_history
    ADD CONSTRAINT subscription_status_history_status_id_fkey FOREIGN KEY (status_id) REFERENCES public.status(id) ON DELETE RESTRICT;

ALTER TABLE ONLY public.subscription_status_history
    ADD CONSTRAINT subscription_status_history_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES public.subscription(id) ON DELETE RESTRICT;
