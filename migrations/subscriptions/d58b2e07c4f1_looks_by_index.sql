-- revision: d58b2e07c4f1
-- down revision: a04c9be5d713
-- message: looks by index
--
-- What settles, lists, counts and purges walked through whole tables for a few rows; it asks an index now. And what is
-- read of unsettled subscriptions comes one by one, whatever their number.

-- migrate: up

-- The open charges in the order in which they are due; it takes the place of the one in the order of their leases, which
-- goes at the end, as nobody may read the ledger from then on.
CREATE INDEX charge_due ON charge (coalesce(settle_at, lease_until), id) WHERE state IN ('sending', 'unknown');
-- For operators. What was charged and stays is in neither, so that a charge costs no more to write.
CREATE INDEX charge_refused ON charge (period) WHERE state IN ('declined', 'released');
CREATE INDEX charge_retired ON charge (subscription_id, period) WHERE retired_at IS NOT NULL;

-- As before, but it walks through charge_due and stops at its limit: FOR UPDATE would lock behind a sort, which reads
-- every doubt first. What is due is so from settle_at on, and without one from the end of its lease.
CREATE OR REPLACE FUNCTION claim_unsettled(p_limit integer, p_lease_milliseconds integer)
RETURNS TABLE (
    charge_id bigint, charge_attempt integer, subscription text, charge_period text, sent_request text, customer text,
    sku integer
) LANGUAGE sql VOLATILE SET enable_sort = off AS $$
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

-- As before, but once this month is charged every request id gets its receipt, that of last month's doubt too.
CREATE OR REPLACE FUNCTION begin_charge_once(
    p_subscription varchar, p_request varchar, p_zone text, p_lease_milliseconds integer, p_only_watch boolean,
    OUT outcome text, OUT reason text, OUT charge_id bigint, OUT charge_period text, OUT charge_attempt integer,
    OUT sent_request text, OUT customer text, OUT sku integer, OUT charge_state text,
    OUT charged timestamp, OUT recorded_order text
) LANGUAGE plpgsql VOLATILE AS $$
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
END $$;

-- As before, but those that somebody is writing do not count against the limit.
CREATE OR REPLACE FUNCTION settle_subscriptions(p_limit integer) RETURNS integer LANGUAGE plpgsql VOLATILE
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
              WHERE w.subscription_id IS NOT NULL AND claim_share(lock_share(w.subscription_id)) LIMIT p_limit) u
        GROUP BY 1
    LOOP
        DELETE FROM unsettled_subscription u WHERE u.subscription_id = ANY (part.subscriptions);
        CONTINUE WHEN NOT settle_share(part.share, part.subscriptions);
        settled := settled + cardinality(part.subscriptions);
    END LOOP;
    RETURN settled;
END $$;

-- As before, but each unsettled subscription is a piece of its own: there may be as many as subscriptions.
CREATE OR REPLACE FUNCTION eligible_in_json(p_at timestamp, p_part integer, p_parts integer) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
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

-- No relay and no consumer asks for what nobody wanted, so the index costs them nothing; whoever counts it had to read
-- a week of sent events.
CREATE INDEX outbox_unroutable ON outbox (position) WHERE state = 'unroutable';
-- Ranges of blocks keep their least date when the space of purged rows is used again, so the purge came to read all.
DROP INDEX inbox_received_at;
CREATE INDEX inbox_received_at ON inbox (received_at);

DROP INDEX charge_unsettled;

-- migrate: down

DROP INDEX inbox_received_at;
CREATE INDEX inbox_received_at ON inbox USING brin (received_at);
DROP INDEX outbox_unroutable;

CREATE OR REPLACE FUNCTION eligible_in_json(p_at timestamp, p_part integer, p_parts integer) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
    WITH terms AS MATERIALIZED (SELECT * FROM eligibility_terms(p_at))
    SELECT piece.ids
    FROM generate_series(
            32 * p_part, pg_relation_size('active_interval') / current_setting('block_size')::integer, 32 * p_parts) block,
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
    WHERE (SELECT any_unsettled FROM terms) AND p_part = 0
    HAVING count(*) > 0
$$;

CREATE OR REPLACE FUNCTION settle_subscriptions(p_limit integer) RETURNS integer LANGUAGE plpgsql VOLATILE
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

CREATE OR REPLACE FUNCTION begin_charge_once(
    p_subscription varchar, p_request varchar, p_zone text, p_lease_milliseconds integer, p_only_watch boolean,
    OUT outcome text, OUT reason text, OUT charge_id bigint, OUT charge_period text, OUT charge_attempt integer,
    OUT sent_request text, OUT customer text, OUT sku integer, OUT charge_state text,
    OUT charged timestamp, OUT recorded_order text
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    open_charge charge;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('charge ' || p_subscription, 0));
    -- The month's own, and the one that a repeat of last month's request would settle.
    SELECT c.* INTO open_charge FROM charge c
    WHERE c.subscription_id = p_subscription AND c.retired_at IS NULL AND c.state IN ('sending', 'unknown')
        AND (c.period = billing_period(clock_timestamp(), p_zone)
             OR c.id = (SELECT r.charge_id FROM charge_request r WHERE r.request_id = p_request))
    ORDER BY c.state = 'unknown' DESC, c.lease_until LIMIT 1;
    IF open_charge.state = 'unknown' OR open_charge.lease_until <= clock_timestamp() THEN
        outcome := 'in-doubt';
        charge_id := open_charge.id;
        charge_period := open_charge.period;
        RETURN;
    END IF;
    -- A lease that ends between the look above and the one below must not be taken over either.
    SELECT b.* INTO outcome, reason, charge_id, charge_period, charge_attempt, sent_request, customer, sku,
        charge_state, charged, recorded_order
    FROM begin_charge(
        p_subscription, p_request, p_zone, p_lease_milliseconds, p_only_watch OR open_charge.id IS NOT NULL) b;
END $$;

CREATE OR REPLACE FUNCTION claim_unsettled(p_limit integer, p_lease_milliseconds integer)
RETURNS TABLE (
    charge_id bigint, charge_attempt integer, subscription text, charge_period text, sent_request text, customer text,
    sku integer
) LANGUAGE sql VOLATILE AS $$
    WITH due AS (
        SELECT c.id FROM charge c
        WHERE c.state IN ('sending', 'unknown')
            AND coalesce(c.settle_at <= clock_timestamp(), true)
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
        FROM due WHERE c.id = due.id RETURNING c.*),
    written AS (
        INSERT INTO charge_event (charge_id, attempt, request_id, what)
        SELECT c.id, c.attempt, c.request_id, 'begun' FROM claimed c)
    SELECT c.id, c.attempt, c.subscription_id, c.period, c.request_id, c.customer_id, c.sku_id FROM claimed c
$$;

CREATE INDEX charge_unsettled ON charge (lease_until) WHERE state IN ('sending', 'unknown');
DROP INDEX charge_retired;
DROP INDEX charge_refused;
DROP INDEX charge_due;
