-- revision: b1f0c2a9d314
-- down revision: 6640484e5703
-- message: subscription rules
--
-- Indexes on the approved tables, and the rules that must be decided in one statement. The tables themselves stay as
-- they are.

-- migrate: up

-- In the order of a thing's current status: greatest effect date, then later create date, then greater id.
CREATE INDEX club_status_history_current ON club_status_history
    (club_id, effect_date DESC, create_date DESC NULLS LAST, id DESC) INCLUDE (club_status_id);
CREATE INDEX subscription_status_history_current ON subscription_status_history
    (subscription_id, effect_date DESC, create_date DESC NULLS LAST, id DESC) INCLUDE (status_id);
CREATE INDEX subscription_club_customer ON subscription (club_id, customer_store_id);

-- The instant now, as the approved tables write it: naive UTC.
CREATE FUNCTION utc_now() RETURNS timestamp LANGUAGE sql VOLATILE
RETURN clock_timestamp() AT TIME ZONE 'UTC';

-- A club's current status; NULL when its history says nothing yet.
CREATE FUNCTION current_club_status(p_club integer, p_at timestamp) RETURNS integer LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT h.club_status_id FROM club_status_history h
        WHERE h.club_id = p_club AND h.effect_date <= p_at
        ORDER BY h.effect_date DESC, h.create_date DESC NULLS LAST, h.id DESC
        LIMIT 1);
END $$;

-- A subscription's current status; NULL when its history says nothing yet.
CREATE FUNCTION current_subscription_status(p_subscription varchar, p_at timestamp) RETURNS integer
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT h.status_id FROM subscription_status_history h
        WHERE h.subscription_id = p_subscription AND h.effect_date <= p_at
        ORDER BY h.effect_date DESC, h.create_date DESC NULLS LAST, h.id DESC
        LIMIT 1);
END $$;

-- Subscribes a customer to a club, at most once however many ask at the same time. Outcome: subscribed,
-- already-subscribed (with the id of the first), club-not-active, club-not-found.
-- It must stay VOLATILE: only then does each statement in it see what the one who held the lock has committed.
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

-- Automatic returns that a later change took back: they leave the history, so that nobody who reads it takes them for
-- real, and stay here.
CREATE TABLE superseded_return (
    id varchar(36) NOT NULL,
    subscription_id varchar(36) NOT NULL,
    effect_date timestamp NOT NULL,
    create_date timestamp,
    superseded_by varchar(36) NOT NULL,
    superseded_at timestamp NOT NULL
);
CREATE INDEX superseded_return_subscription ON superseded_return (subscription_id);

-- Changes a subscription's status, takes back every automatic return still to come, and schedules a new one when an
-- interval of days is given. Outcome: changed, subscription-not-found.
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

-- Every subscription that is ACTIVE now in a club that is ACTIVE or CLOSED now.
CREATE VIEW eligible_subscription AS
SELECT s.id
FROM subscription s
WHERE s.club_id IN (
        SELECT c.id FROM club c
        WHERE (SELECT h.club_status_id FROM club_status_history h
               WHERE h.club_id = c.id AND h.effect_date <= now() AT TIME ZONE 'UTC'
               ORDER BY h.effect_date DESC, h.create_date DESC NULLS LAST, h.id DESC LIMIT 1) IN (1, 2))
    AND (SELECT h.status_id FROM subscription_status_history h
         WHERE h.subscription_id = s.id AND h.effect_date <= now() AT TIME ZONE 'UTC'
         ORDER BY h.effect_date DESC, h.create_date DESC NULLS LAST, h.id DESC LIMIT 1) = 1;

-- migrate: down

DROP VIEW eligible_subscription;
DROP FUNCTION change_status(varchar, integer, timestamp, integer, varchar, varchar, varchar);
DROP TABLE superseded_return;
DROP FUNCTION subscribe(integer, varchar, varchar, varchar);
DROP FUNCTION current_subscription_status(varchar, timestamp);
DROP FUNCTION current_club_status(integer, timestamp);
DROP FUNCTION utc_now();
DROP INDEX subscription_club_customer;
DROP INDEX subscription_status_history_current;
DROP INDEX club_status_history_current;
