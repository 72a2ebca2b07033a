-- revision: b7d3f6e2a41c
-- down revision: f4b8d2c61e97
-- message: subscription events
--
-- What happens to a subscription is published: the event is written in the transaction that decides, and a relay sends
-- it. Rows that outsiders write are theirs and publish nothing.

-- migrate: up

-- Events that were decided and wait to be published: written in the transaction that decides, published by the relay.
CREATE TABLE outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    type varchar(64) NOT NULL,
    subject varchar(64) NOT NULL,
    sequence bigint NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    data text NOT NULL,
    traceparent varchar(55),
    correlation_id varchar(128),
    causation_id varchar(128),
    lane smallint NOT NULL GENERATED ALWAYS AS (abs(hashtext(subject) % 8)) STORED,
    state varchar(10) NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'unroutable')),
    settled_at timestamptz
);
CREATE INDEX outbox_waiting ON outbox (lane, position) WHERE state = 'waiting';

-- Who publishes which lane of the outbox, and until when: the events of one subject share a lane, so one relay keeps
-- their order.
CREATE TABLE outbox_lane (
    lane smallint PRIMARY KEY,
    held_by varchar(64),
    held_until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO outbox_lane (lane) SELECT generate_series(0, 7);

-- What consumers have done: an event that comes again does nothing.
CREATE TABLE inbox (
    consumer varchar(64) NOT NULL,
    event_id varchar(128) NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX inbox_received_at ON inbox USING brin (received_at);

-- The number of the last event of a subscription. Number 1 is that of its creation, published or not, so that
-- subscribing writes no row here; without a row the next is 2. Who takes several at once holds their locks "event".
CREATE TABLE event_sequence (
    subject varchar(36) PRIMARY KEY,
    last bigint NOT NULL
);

CREATE FUNCTION rfc3339(p_at timestamp) RETURNS text LANGUAGE sql STABLE
RETURN to_char(p_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

CREATE FUNCTION status_event_type(p_status integer) RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE p_status WHEN 1 THEN 'subscription.activated' WHEN 2 THEN 'subscription.cancelled'
                     ELSE 'subscription.paused' END;

-- A subscription as events show it: JSON text.
CREATE FUNCTION subscription_json(p_subscription text, p_club integer, p_customer text) RETURNS text
LANGUAGE sql STABLE
RETURN '{"id":' || to_json(p_subscription) || ',"club_id":' || coalesce(p_club::text, 'null')
    || ',"customer_id":' || coalesce(to_json(p_customer)::text, 'null') || '}';

-- The data of subscription.created, .activated, .paused and .cancelled: JSON text.
CREATE FUNCTION status_event_data(
    p_subscription text, p_club integer, p_customer text, p_status integer, p_effect timestamp, p_returns timestamp
) RETURNS text LANGUAGE sql STABLE
RETURN '{"subscription":' || subscription_json(p_subscription, p_club, p_customer) || ',"status_id":' || p_status
    || ',"effect_date":"' || rfc3339(p_effect) || '"'
    || coalesce(',"returns_at":"' || rfc3339(p_returns) || '"', '') || '}';

-- Says, for the rest of the transaction, which request the events of charges follow from.
CREATE FUNCTION set_event_cause(p_trace text, p_correlation text) RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT set_config('taproom.traceparent', coalesce(p_trace, ''), true),
           set_config('taproom.correlation', coalesce(p_correlation, ''), true)
$$;

-- Whoever decides a charge, a request, its settling or an operator, publishes it.
CREATE FUNCTION publish_charge() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    correlation text := nullif(current_setting('taproom.correlation', true), '');
    club integer;
    reason text;
    number bigint;
BEGIN
    SELECT s.club_id INTO club FROM subscription s WHERE s.id = NEW.subscription_id;
    IF NEW.state = 'declined' THEN
        SELECT CASE WHEN e.what = 'declined' THEN 'the platform answered ' || e.platform_status
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
CREATE TRIGGER charge_published AFTER UPDATE ON charge
    FOR EACH ROW WHEN (NEW.state IS DISTINCT FROM OLD.state AND NEW.state IN ('charged', 'declined'))
    EXECUTE FUNCTION publish_charge();

DROP FUNCTION subscribe(integer[], varchar[], varchar[], varchar[], boolean);
DROP FUNCTION change_status(varchar[], integer[], timestamp[], integer[], varchar[], varchar[], varchar[], boolean);
DROP FUNCTION finish_charges(
    bigint[], integer[], varchar[], text[], integer[], text[], varchar[], boolean);

-- Subscribes customers to clubs, each at most once however many ask at the same time. The event gets the id of the
-- history row, a UUID. Outcome: subscribed,
-- already-subscribed (with the id of the first), club-not-active, club-not-found.
-- It must stay VOLATILE: only then does the statement that decides see what those who held the locks have committed.
CREATE FUNCTION subscribe(
    p_clubs integer[], p_customers varchar[], p_subscriptions varchar[], p_histories varchar[], p_traces varchar[],
    p_correlations varchar[], p_others_wait boolean
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

-- Changes the statuses of subscriptions, takes back every automatic return still to come, and schedules a new one
-- where an interval of days is given. Outcome: changed, subscription-not-found. A subscription may stand in a call
-- only once (SQLSTATE 21000 otherwise): of two changes one is the later. The event gets the id of the history row.
CREATE FUNCTION change_status(
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

-- Records what came of attempts: finish_charge for each of them, one after the other, since each publishes.
CREATE FUNCTION finish_charges(
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

-- migrate: down

DROP FUNCTION finish_charges(
    bigint[], integer[], varchar[], text[], integer[], text[], varchar[], varchar[], varchar[], varchar[], boolean);
DROP FUNCTION change_status(
    varchar[], integer[], timestamp[], integer[], varchar[], varchar[], varchar[], varchar[], varchar[], boolean);
DROP FUNCTION subscribe(integer[], varchar[], varchar[], varchar[], varchar[], varchar[], boolean);
DROP TRIGGER charge_published ON charge;
DROP FUNCTION publish_charge();
DROP FUNCTION set_event_cause(text, text);
DROP FUNCTION status_event_data(text, integer, text, integer, timestamp, timestamp);
DROP FUNCTION subscription_json(text, integer, text);
DROP FUNCTION status_event_type(integer);
DROP FUNCTION rfc3339(timestamp);
DROP TABLE event_sequence;
DROP TABLE inbox;
DROP TABLE outbox_lane;
DROP TABLE outbox;

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
