-- revision: 78da82a6e293
-- down revision: 91d4c7b0e35a
-- message: declined and deleted
--
-- An event gives the platform's refusal as its reason only when that refusal decided the charge, and a charge that is
-- retired while its next attempt begins gives back the request id of that attempt too.

-- migrate: up

-- As before, but for the reason: the platform decides only by the outcome of the latest attempt, and only while that is
-- being sent. A refusal that left a doubt, or came from an attempt taken for dead, decided nothing: then it was an
-- operator.
CREATE OR REPLACE FUNCTION publish_charge() RETURNS trigger LANGUAGE plpgsql AS $$
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

-- As before, but the request ids go in a statement of their own: it sees those of an attempt whose transaction the
-- update had to wait for.
CREATE OR REPLACE FUNCTION retire_charges_of_deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
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

-- What retired charges have kept so far.
DELETE FROM charge_request r USING charge c WHERE c.id = r.charge_id AND c.retired_at IS NOT NULL;

-- migrate: down

CREATE OR REPLACE FUNCTION retire_charges_of_deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    WITH retired AS (
        UPDATE charge c SET retired_at = clock_timestamp()
        FROM deleted d WHERE c.subscription_id = d.id AND c.retired_at IS NULL
        RETURNING c.id)
    DELETE FROM charge_request r USING retired WHERE r.charge_id = retired.id;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION publish_charge() RETURNS trigger LANGUAGE plpgsql AS $$
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
