-- revision: a1d6f83c5e90
-- down revision: d71b3e90a6f4
-- message: handed on in doubt

-- migrate: up

-- As before, and what begin_charge finds in doubt is not sent: a subscription that is renamed takes its charges along,
-- also between the look here and the one there. 40001 stands for: nothing was done, ask again.
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
    -- The state is the one before this attempt.
    IF outcome = 'begun' AND charge_state IN ('sending', 'unknown') THEN
        RAISE EXCEPTION 'a charge in doubt became that of % at this moment', p_subscription
            USING ERRCODE = 'serialization_failure';
    END IF;
END $$;

-- migrate: down

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
