-- revision: 91d4c7b0e35a
-- down revision: c2f7a95e8d13
-- message: all unsettled is none wrong
--
-- A truncation under REPEATABLE READ leaves intervals and notes every subscription as unsettled. The definition decides
-- for all of them then, so nobody's intervals are wrong; the check knew unsettled subscriptions by their ids only.

-- migrate: up

-- The subscriptions whose intervals are not those of the definition, unsettled ones left out: none, unless the triggers
-- were switched off.
CREATE OR REPLACE FUNCTION wrong_active_intervals() RETURNS SETOF varchar LANGUAGE sql STABLE AS $$
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

-- migrate: down

CREATE OR REPLACE FUNCTION wrong_active_intervals() RETURNS SETOF varchar LANGUAGE sql STABLE AS $$
    WITH moment AS MATERIALIZED (SELECT now() AT TIME ZONE 'UTC' AS at),
    kept AS (SELECT i.since, i.until, i.club_id, i.subscription_id FROM active_interval i, moment
             WHERE i.until > moment.at),
    meant AS (SELECT d.since, d.until, d.club_id, d.subscription_id FROM active_interval_definition d, moment
              WHERE d.until > moment.at)
    SELECT subscription_id FROM (
        (SELECT * FROM kept EXCEPT ALL SELECT * FROM meant) UNION (SELECT * FROM meant EXCEPT ALL SELECT * FROM kept)
    ) different
    EXCEPT SELECT u.subscription_id FROM unsettled_subscription u
$$;
