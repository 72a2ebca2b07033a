-- revision: c83f5b0e7d21
-- down revision: a1d6f83c5e90
-- message: instant of a page

-- migrate: up

-- As before, but the instant is read after the snapshot. A subscription that became active anew between the two would be
-- left out: its interval of before is gone in the snapshot, and the new one begins after the instant.
CREATE OR REPLACE FUNCTION eligible_page_now(p_after varchar, p_limit integer) RETURNS SETOF varchar
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM set_config('lock_timeout', '200ms', true);
    LOCK TABLE club, club_status_history, subscription, subscription_status_history, active_interval,
        unsettled_subscription IN ACCESS SHARE MODE;
    RETURN QUERY SELECT e.id FROM eligible_page((SELECT utc_now()), p_after, p_limit) e(id);
END $$;

-- migrate: down

CREATE OR REPLACE FUNCTION eligible_page_now(p_after varchar, p_limit integer) RETURNS SETOF varchar
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
