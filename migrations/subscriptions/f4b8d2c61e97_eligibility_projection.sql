-- revision: f4b8d2c61e97
-- down revision: e2a7c1f96b30
-- message: eligibility projection
--
-- Who may be charged, kept beside the histories instead of computed from them each time. Outsiders write the approved
-- tables as they like, so the triggers here never wait for another session and never refuse: where the intervals of a
-- subscription cannot be kept, it is noted as unsettled, and the definition decides for it until it is settled.
-- Clubs are few: the definition decides for them always.

-- migrate: up

-- When each subscription is ACTIVE: one row for each of its history rows that makes it so, from the row's effect date to
-- that of the next. Intervals that have ended are not kept. No foreign key, and no unique index that could refuse.
CREATE TABLE active_interval (
    since timestamp NOT NULL,
    until timestamp NOT NULL,
    club_id integer NOT NULL,
    subscription_id varchar(36) NOT NULL,
    -- The id as a JSON string has it, where that is not the id itself.
    json_id text
);
CREATE INDEX active_interval_subscription ON active_interval (subscription_id);

-- Subscriptions for which the definition decides; NULL stands for all of them. Only added to by writers: whoever settles
-- takes a row away after its writer has committed, and before looking at the history.
CREATE TABLE unsettled_subscription (subscription_id varchar(36));
CREATE INDEX unsettled_subscription_id ON unsettled_subscription (subscription_id);

-- What active_interval must hold, and the intervals that have ended. Of rows with the same effect date the first in this
-- order counts; the others get an empty interval.
CREATE VIEW active_interval_definition AS
SELECT h.since, h.until, s.club_id, h.subscription_id
FROM (SELECT r.subscription_id, r.status_id, r.effect_date AS since,
          coalesce(lag(r.effect_date) OVER (
              PARTITION BY r.subscription_id
              ORDER BY r.effect_date DESC, r.create_date DESC NULLS LAST, r.id DESC), 'infinity') AS until
      FROM subscription_status_history r
      WHERE r.effect_date IS NOT NULL) h
JOIN subscription s ON s.id = h.subscription_id
WHERE h.status_id = 1 AND h.since < h.until AND s.club_id IS NOT NULL;

-- NULL when the id needs no escape.
CREATE FUNCTION escaped_in_json(p_id varchar) RETURNS text LANGUAGE sql STABLE
RETURN nullif(substr(to_json(p_id)::text, 2, length(to_json(p_id)::text) - 2), p_id);

-- Locks are taken for a share of all subscriptions, so that no transaction ever holds more than 1024 of them.
CREATE FUNCTION lock_share(p_subscription varchar) RETURNS integer LANGUAGE sql IMMUTABLE
RETURN hashtext(p_subscription) & 1023;

-- Whether this transaction alone may write the intervals of a share, until it ends. Never waits. A snapshot older than
-- the lock would hide what its last holder has written.
CREATE FUNCTION claim_share(p_share integer) RETURNS boolean LANGUAGE sql VOLATILE
RETURN current_setting('transaction_isolation') IN ('read committed', 'read uncommitted')
    AND pg_try_advisory_xact_lock(1635018102, p_share);

-- Brings the intervals of subscriptions of one share up to date, or notes them as unsettled. False when it noted them.
CREATE FUNCTION settle_share(p_share integer, p_subscriptions varchar[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
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

-- Triggers run as the owner and with the owner's search path, because an outsider may have rights on the approved tables
-- only; and with index scans, because a plan made while the tables were small is kept for the session.

-- A row that is the newest of its subscription ends the interval before it and may begin one; any other needs all rows.
CREATE FUNCTION history_appended(p_id varchar, p_subscription varchar, p_status integer, p_effect timestamp)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
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

-- Most rows are the first or the newest of their subscription; those have a short way, where a statement brings few.
CREATE FUNCTION history_inserted() RETURNS trigger LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    few integer := (SELECT count(*) FROM (SELECT FROM new_rows LIMIT 65) n);
    written integer;
    part record;
BEGIN
    IF few <= 64 THEN
        -- Nobody else sees a subscription that this transaction has made. One that it has updated looks the same: that
        -- update has claimed it or noted it as unsettled.
        INSERT INTO active_interval (since, until, club_id, subscription_id, json_id)
        SELECT n.effect_date, 'infinity', s.club_id, s.id, escaped_in_json(s.id)
        FROM new_rows n JOIN subscription s ON s.id = n.subscription_id
        WHERE s.xmin = pg_current_xact_id()::xid
            AND n.status_id = 1 AND n.effect_date < 'infinity' AND s.club_id IS NOT NULL
            AND NOT EXISTS (
                SELECT FROM subscription_status_history h
                WHERE h.subscription_id = n.subscription_id AND h.id <> n.id);
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

CREATE FUNCTION history_updated() RETURNS trigger LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
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

CREATE FUNCTION history_deleted() RETURNS trigger LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
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

-- A new subscription has no history yet and one that goes has none any more: the foreign key sees to it.
CREATE FUNCTION subscription_updated() RETURNS trigger LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
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

-- Whatever else is truncated takes the history with it. Rows are deleted, as to truncate active_interval would have to
-- wait for its readers.
CREATE FUNCTION history_truncated() RETURNS trigger LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path FROM CURRENT AS $$
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

CREATE TRIGGER active_interval_insert AFTER INSERT ON subscription_status_history
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION history_inserted();
CREATE TRIGGER active_interval_update AFTER UPDATE ON subscription_status_history
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION history_updated();
CREATE TRIGGER active_interval_delete AFTER DELETE ON subscription_status_history
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION history_deleted();
CREATE TRIGGER active_interval_truncate AFTER TRUNCATE ON subscription_status_history
    FOR EACH STATEMENT EXECUTE FUNCTION history_truncated();
CREATE TRIGGER active_interval_update AFTER UPDATE ON subscription
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION subscription_updated();

-- Settles at most so many of the unsettled subscriptions and returns how many. Those that somebody is writing right now
-- are left for the next time. Changes nothing in a transaction that cannot see what others commit, or cannot write.
CREATE FUNCTION settle_subscriptions(p_limit integer) RETURNS integer LANGUAGE plpgsql VOLATILE
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
              WHERE w.subscription_id IS NOT NULL LIMIT p_limit) u
        GROUP BY 1
    LOOP
        CONTINUE WHEN NOT claim_share(part.share);
        DELETE FROM unsettled_subscription u WHERE u.subscription_id = ANY (part.subscriptions);
        CONTINUE WHEN NOT settle_share(part.share, part.subscriptions);
        settled := settled + cardinality(part.subscriptions);
    END LOOP;
    RETURN settled;
END $$;

-- The definition: every subscription that is ACTIVE at an instant in a club that is ACTIVE or CLOSED then.
CREATE FUNCTION chargeable_club(p_at timestamp) RETURNS SETOF integer LANGUAGE sql STABLE AS $$
    SELECT c.id FROM club c
    WHERE (SELECT h.club_status_id FROM club_status_history h
           WHERE h.club_id = c.id AND h.effect_date <= p_at
           ORDER BY h.effect_date DESC, h.create_date DESC NULLS LAST, h.id DESC LIMIT 1) IN (1, 2)
$$;
CREATE FUNCTION eligible_by_definition(p_at timestamp) RETURNS SETOF varchar LANGUAGE sql STABLE AS $$
    SELECT s.id FROM subscription s
    WHERE s.club_id IN (SELECT chargeable_club(p_at))
        AND (SELECT h.status_id FROM subscription_status_history h
             WHERE h.subscription_id = s.id AND h.effect_date <= p_at
             ORDER BY h.effect_date DESC, h.create_date DESC NULLS LAST, h.id DESC LIMIT 1) = 1
$$;
CREATE OR REPLACE VIEW eligible_subscription AS
SELECT e.id::varchar(36) AS id FROM eligible_by_definition(now() AT TIME ZONE 'UTC') e(id);

-- What decides beside the intervals at an instant. A byte for each club from 0 to `last` says whether it counts: to look
-- it up there costs a quarter of a look into a hash, which serves for greater numbers.
CREATE FUNCTION eligibility_terms(
    p_at timestamp, OUT at timestamp, OUT last_club integer, OUT clubs bytea,
    OUT any_unsettled boolean, OUT all_unsettled boolean
) LANGUAGE sql STABLE AS $$
    SELECT p_at, least(max(c.id), 999),
        (SELECT string_agg(CASE WHEN n IN (SELECT chargeable_club(p_at)) THEN '\x01'::bytea ELSE '\x00' END, '' ORDER BY n)
         FROM generate_series(0, least(max(c.id), 999)) n),
        EXISTS (SELECT FROM unsettled_subscription),
        EXISTS (SELECT FROM unsettled_subscription u WHERE u.subscription_id IS NULL)
    FROM club c
$$;

-- The unsettled subscriptions that are eligible at an instant.
CREATE FUNCTION eligible_unsettled(p_at timestamp, p_all boolean) RETURNS SETOF varchar LANGUAGE sql STABLE AS $$
    SELECT s.id
    FROM (SELECT u.subscription_id FROM unsettled_subscription u UNION SELECT a.id FROM subscription a WHERE p_all)
        candidate(id)
    JOIN subscription s ON s.id = candidate.id
    WHERE s.club_id IN (SELECT chargeable_club(p_at)) AND current_subscription_status(s.id, p_at) = 1
$$;

-- The same as the definition, from the intervals: at most so many ids after one of them, in order. For instants that
-- are not past.
CREATE FUNCTION eligible_page(p_at timestamp, p_after varchar, p_limit integer) RETURNS SETOF varchar
LANGUAGE sql STABLE AS $$
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

-- The same again, in no order, as pieces of a JSON array without its brackets: `"a","b"`. The rows of 32 neighbouring
-- blocks make a piece: to hand out each id by itself takes a third more time.
CREATE FUNCTION eligible_in_json(p_at timestamp) RETURNS SETOF text LANGUAGE sql STABLE AS $$
    WITH terms AS MATERIALIZED (SELECT * FROM eligibility_terms(p_at))
    SELECT piece.ids
    FROM generate_series(0, pg_relation_size('active_interval') / current_setting('block_size')::integer, 32) block,
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
    SELECT string_agg(to_json(e.id)::text, ',') FROM eligible_unsettled(p_at, (SELECT all_unsettled FROM terms)) e(id)
    WHERE (SELECT any_unsettled FROM terms)
    HAVING count(*) > 0
$$;

-- The subscriptions whose intervals are not those of the definition, unsettled ones left out: none, unless the triggers
-- were switched off.
CREATE FUNCTION wrong_active_intervals() RETURNS SETOF varchar LANGUAGE sql STABLE AS $$
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

INSERT INTO active_interval (since, until, club_id, subscription_id, json_id)
SELECT d.since, d.until, d.club_id, d.subscription_id, escaped_in_json(d.subscription_id)
FROM active_interval_definition d WHERE d.until > utc_now();

-- migrate: down

DROP FUNCTION wrong_active_intervals();
DROP FUNCTION eligible_in_json(timestamp);
DROP FUNCTION eligible_page(timestamp, varchar, integer);
DROP FUNCTION eligible_unsettled(timestamp, boolean);
DROP FUNCTION eligibility_terms(timestamp);
CREATE OR REPLACE VIEW eligible_subscription AS
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
DROP FUNCTION eligible_by_definition(timestamp);
DROP FUNCTION chargeable_club(timestamp);
DROP FUNCTION settle_subscriptions(integer);
DROP TRIGGER active_interval_update ON subscription;
DROP TRIGGER active_interval_truncate ON subscription_status_history;
DROP TRIGGER active_interval_delete ON subscription_status_history;
DROP TRIGGER active_interval_update ON subscription_status_history;
DROP TRIGGER active_interval_insert ON subscription_status_history;
DROP FUNCTION history_truncated();
DROP FUNCTION subscription_updated();
DROP FUNCTION history_deleted();
DROP FUNCTION history_updated();
DROP FUNCTION history_inserted();
DROP FUNCTION history_appended(varchar, varchar, integer, timestamp);
DROP FUNCTION settle_share(integer, varchar[]);
DROP FUNCTION claim_share(integer);
DROP FUNCTION lock_share(varchar);
DROP FUNCTION escaped_in_json(varchar);
DROP VIEW active_interval_definition;
DROP TABLE unsettled_subscription;
DROP TABLE active_interval;
