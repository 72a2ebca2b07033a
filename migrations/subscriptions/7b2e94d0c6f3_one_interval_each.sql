-- revision: 7b2e94d0c6f3
-- down revision: e81f6c2d9a40
-- message: one interval each
--
-- A statement that fires the trigger for inserted history and another one of these (an upsert, MERGE, a statement with
-- others in WITH) wrote the interval of a subscription twice: the other trigger came first and had settled the
-- subscription with the new row in it. And an insertion of no rows read `subscription` and so waited for whoever had it
-- locked, which could be a deadlock.

-- migrate: up

-- A row that is the newest of its subscription ends the interval before it and may begin one; any other needs all rows.
CREATE OR REPLACE FUNCTION history_appended(p_id varchar, p_subscription varchar, p_status integer, p_effect timestamp)
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

-- Most rows are the first or the newest of their subscription; those have a short way, where a statement brings few.
CREATE OR REPLACE FUNCTION history_inserted() RETURNS trigger LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
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

-- What was written twice is settled anew.
INSERT INTO unsettled_subscription
SELECT i.subscription_id FROM active_interval i GROUP BY 1 HAVING count(*) > count(DISTINCT i.since);

-- migrate: down

CREATE OR REPLACE FUNCTION history_appended(p_id varchar, p_subscription varchar, p_status integer, p_effect timestamp)
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

CREATE OR REPLACE FUNCTION history_inserted() RETURNS trigger LANGUAGE plpgsql VOLATILE
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
