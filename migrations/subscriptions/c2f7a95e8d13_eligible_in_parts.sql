-- revision: c2f7a95e8d13
-- down revision: b7d3f6e2a41c
-- message: eligible in parts
--
-- Who may be charged is read by several sessions at the same time, each a part of it.

-- migrate: up

DROP FUNCTION eligible_in_json(timestamp);

-- The eligible subscriptions, in no order, as pieces of a JSON array without its brackets: `"a","b"`. The rows of 32
-- neighbouring blocks make a piece: to hand out each id by itself takes a third more time. Part `p_part`, from 0, of
-- `p_parts`; together they are all, for sessions that see the same.
CREATE FUNCTION eligible_in_json(p_at timestamp, p_part integer, p_parts integer) RETURNS SETOF text LANGUAGE sql STABLE AS $$
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

-- migrate: down

DROP FUNCTION eligible_in_json(timestamp, integer, integer);
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
