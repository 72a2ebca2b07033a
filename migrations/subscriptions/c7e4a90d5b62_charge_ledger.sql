-- revision: c7e4a90d5b62
-- down revision: b1f0c2a9d314
-- message: charge ledger
--
-- Our own tables beside the approved ones, with no foreign key onto them: outsiders may delete and truncate those at
-- any time.

-- migrate: up

-- One row decides for a subscription and a month. States:
--   sending   an attempt runs, or died: its lease says until when it may
--   charged   the platform made the order
--   declined  the platform refused; nothing was charged
--   released  nothing was charged: the platform was not reached, too busy, or refused our credentials
--   unknown   sent, and the outcome is not known: only the same request id may be sent again
CREATE TABLE charge (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription_id varchar(36) NOT NULL,
    period char(7) NOT NULL,
    state varchar(8) NOT NULL CHECK (state IN ('sending', 'charged', 'declined', 'released', 'unknown')),
    request_id varchar(128) NOT NULL,
    -- What is sent, kept as it was first sent: a platform compares the payloads of one request id.
    customer_id varchar(36) NOT NULL,
    sku_id integer NOT NULL,
    attempt integer NOT NULL DEFAULT 1,
    -- Whether an attempt with this request id has an outcome that is still unknown.
    in_doubt boolean NOT NULL DEFAULT false,
    lease_until timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    charged_at timestamptz CHECK ((charged_at IS NOT NULL) = (state = 'charged')),
    -- The platform's answer as it came: JSON text.
    platform_order text CHECK ((platform_order IS NOT NULL) = (state = 'charged')),
    -- When the subscription was deleted: the row stays on record and decides nothing any more.
    retired_at timestamptz
);
CREATE UNIQUE INDEX charge_decides ON charge (subscription_id, period) WHERE retired_at IS NULL;
CREATE INDEX charge_unsettled ON charge (lease_until) WHERE state IN ('sending', 'unknown');

-- Which charge a request id was sent for. A retired charge gives its ids back.
CREATE TABLE charge_request (
    request_id varchar(128) PRIMARY KEY,
    charge_id bigint NOT NULL REFERENCES charge
);
CREATE INDEX charge_request_charge ON charge_request (charge_id);

-- What happened, in order; rows are only ever added.
CREATE TABLE charge_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_id bigint NOT NULL REFERENCES charge,
    attempt integer NOT NULL,
    request_id varchar(128) NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    what varchar(16) NOT NULL,
    platform_status integer,
    excerpt varchar(1024)
);
CREATE INDEX charge_event_charge ON charge_event (charge_id, id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER charge_event_append_only BEFORE UPDATE OR DELETE ON charge_event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- The calendar month of an instant in the business time zone, such as 2026-11.
CREATE FUNCTION billing_period(p_at timestamptz, p_zone text) RETURNS char(7) LANGUAGE sql STABLE
RETURN to_char(p_at AT TIME ZONE p_zone, 'YYYY-MM');

-- Decides what a request to charge may do, and writes that an attempt begins before anything is sent. Outcome:
--   begun                   send sent_request with customer and sku, then call finish_charge
--   charged                 already charged: the recorded answer
--   in-progress             another attempt runs (or, with p_only_watch, has ended without a charge)
--   subscription-not-found, not-chargeable (reason says why), request-id-reused (reason says by whom)
CREATE FUNCTION begin_charge(
    p_subscription varchar, p_request varchar, p_zone text, p_lease_milliseconds integer, p_only_watch boolean,
    OUT outcome text, OUT reason text, OUT charge_id bigint, OUT charge_period text, OUT charge_attempt integer,
    OUT sent_request text, OUT customer text, OUT sku integer, OUT charge_state text,
    OUT charged timestamp, OUT recorded_order text
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    found_charge charge;
    owner charge;
    club integer;
    status integer;
BEGIN
    charge_period := billing_period(moment, p_zone);
    SELECT * INTO found_charge FROM charge c
    WHERE c.subscription_id = p_subscription AND c.period = charge_period AND c.retired_at IS NULL;

    IF found_charge.state IS DISTINCT FROM 'charged' AND NOT p_only_watch THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('charge ' || p_subscription, 0));
        PERFORM pg_advisory_xact_lock(hashtextextended('request ' || p_request, 0));
        moment := clock_timestamp();
        SELECT s.customer_store_id, s.club_id, c.store_sku INTO customer, club, sku
        FROM subscription s LEFT JOIN club c ON c.id = s.club_id WHERE s.id = p_subscription;
        IF NOT FOUND THEN
            outcome := 'subscription-not-found';
            RETURN;
        END IF;
        SELECT c.* INTO owner FROM charge_request r JOIN charge c ON c.id = r.charge_id
        WHERE r.request_id = p_request;
        IF FOUND AND owner.subscription_id <> p_subscription THEN
            outcome := 'request-id-reused';
            reason := 'another subscription';
            RETURN;
        ELSIF FOUND AND owner.period <> charge_period THEN
            -- A repeat of last month's request settles last month's doubt; it is no request for this month.
            IF owner.state NOT IN ('sending', 'unknown') THEN
                outcome := 'request-id-reused';
                reason := 'the month ' || owner.period || ' of this subscription';
                RETURN;
            END IF;
            charge_period := owner.period;
        END IF;
        SELECT * INTO found_charge FROM charge c
        WHERE c.subscription_id = p_subscription AND c.period = charge_period AND c.retired_at IS NULL
        FOR UPDATE;
    END IF;

    charge_state := found_charge.state;
    IF found_charge.state = 'charged' THEN
        outcome := 'charged';
        charge_id := found_charge.id;
        sent_request := found_charge.request_id;
        charged := found_charge.charged_at AT TIME ZONE 'UTC';
        recorded_order := found_charge.platform_order;
        RETURN;
    END IF;
    IF p_only_watch OR (found_charge.state = 'sending' AND found_charge.lease_until > moment) THEN
        outcome := 'in-progress';
        RETURN;
    END IF;

    -- No history at all is no reason to refuse: outside suites rely on it.
    status := current_subscription_status(p_subscription, moment AT TIME ZONE 'UTC');
    reason := CASE
        WHEN status = 2 THEN 'the subscription is cancelled'
        WHEN status = 3 THEN 'the subscription is paused'
        WHEN current_club_status(club, moment AT TIME ZONE 'UTC') = 3 THEN 'its club is inactive'
        WHEN customer IS NULL THEN 'the subscription has no customer'
        WHEN club IS NULL THEN 'the subscription has no club'
        WHEN sku IS NULL THEN 'its club has no SKU'
    END;
    IF reason IS NOT NULL THEN
        outcome := 'not-chargeable';
        RETURN;
    END IF;

    outcome := 'begun';
    IF found_charge.id IS NULL THEN
        INSERT INTO charge (subscription_id, period, state, request_id, customer_id, sku_id, lease_until, created_at)
        VALUES (p_subscription, charge_period, 'sending', p_request, customer, sku,
                moment + p_lease_milliseconds * interval '1 millisecond', moment)
        RETURNING * INTO found_charge;
    ELSIF found_charge.state IN ('declined', 'released') THEN
        UPDATE charge c SET state = 'sending', attempt = c.attempt + 1, request_id = p_request,
            customer_id = customer, sku_id = sku,
            lease_until = moment + p_lease_milliseconds * interval '1 millisecond'
        WHERE c.id = found_charge.id RETURNING * INTO found_charge;
    ELSE
        -- Sent before with an outcome that nobody knows: the same id and the same payload again.
        UPDATE charge c SET state = 'sending', attempt = c.attempt + 1, in_doubt = true,
            lease_until = moment + p_lease_milliseconds * interval '1 millisecond'
        WHERE c.id = found_charge.id RETURNING * INTO found_charge;
    END IF;
    INSERT INTO charge_request (request_id, charge_id) VALUES (found_charge.request_id, found_charge.id)
    ON CONFLICT DO NOTHING;
    INSERT INTO charge_event (charge_id, attempt, request_id, what)
    VALUES (found_charge.id, found_charge.attempt, found_charge.request_id, 'begun');
    charge_id := found_charge.id;
    charge_attempt := found_charge.attempt;
    sent_request := found_charge.request_id;
    customer := found_charge.customer_id;
    sku := found_charge.sku_id;
END $$;

-- Writes what came of an attempt: charged, declined, released or unknown. It may be called again with the same values.
-- A late "charged" always counts, whoever holds the row by then; any other outcome only while the attempt is the
-- latest. Returns the state that the charge has now.
CREATE FUNCTION finish_charge(
    p_charge bigint, p_attempt integer, p_request varchar, p_outcome text, p_platform_status integer, p_order text,
    p_excerpt varchar,
    OUT charge_state text, OUT sent_request text, OUT charged timestamp, OUT recorded_order text
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO charge_event (charge_id, attempt, request_id, what, platform_status, excerpt)
    VALUES (p_charge, p_attempt, p_request, p_outcome, p_platform_status, p_excerpt);
    IF p_outcome = 'charged' THEN
        UPDATE charge c SET state = 'charged', request_id = p_request, charged_at = clock_timestamp(),
            platform_order = p_order, in_doubt = false
        WHERE c.id = p_charge AND c.state <> 'charged';
    ELSE
        -- A refusal clears a doubt about the same request id, but for 400, 409 and 422: a platform says those also of an
        -- id that it has seen before or is still working on. What was not sent or not heard says nothing about an
        -- earlier attempt.
        UPDATE charge c SET
            state = CASE
                WHEN p_outcome = 'declined' AND NOT (c.in_doubt AND p_platform_status IN (400, 409, 422)) THEN 'declined'
                WHEN p_outcome = 'released' AND NOT c.in_doubt THEN 'released'
                ELSE 'unknown' END,
            in_doubt = p_outcome = 'unknown'
                OR c.in_doubt AND NOT (p_outcome = 'declined' AND p_platform_status NOT IN (400, 409, 422)),
            lease_until = clock_timestamp()
        WHERE c.id = p_charge AND c.attempt = p_attempt AND c.state = 'sending';
    END IF;
    SELECT c.state, c.request_id, c.charged_at AT TIME ZONE 'UTC', c.platform_order
    INTO charge_state, sent_request, charged, recorded_order FROM charge c WHERE c.id = p_charge;
END $$;

-- A subscription that is deleted and inserted again under the same id is a new one. SECURITY DEFINER: whoever may
-- delete a subscription must not be refused for lack of rights on our tables.
CREATE FUNCTION retire_charges_of_deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    WITH retired AS (
        UPDATE charge c SET retired_at = clock_timestamp()
        FROM deleted d WHERE c.subscription_id = d.id AND c.retired_at IS NULL
        RETURNING c.id)
    DELETE FROM charge_request r USING retired WHERE r.charge_id = retired.id;
    RETURN NULL;
END $$;
CREATE TRIGGER subscription_deleted AFTER DELETE ON subscription
    REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION retire_charges_of_deleted();

CREATE FUNCTION retire_all_charges() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE charge SET retired_at = clock_timestamp() WHERE retired_at IS NULL;
    DELETE FROM charge_request;
    RETURN NULL;
END $$;
CREATE TRIGGER subscription_truncated AFTER TRUNCATE ON subscription
    FOR EACH STATEMENT EXECUTE FUNCTION retire_all_charges();

-- migrate: down

DROP TRIGGER subscription_truncated ON subscription;
DROP TRIGGER subscription_deleted ON subscription;
DROP FUNCTION retire_all_charges();
DROP FUNCTION retire_charges_of_deleted();
DROP FUNCTION finish_charge(bigint, integer, varchar, text, integer, text, varchar);
DROP FUNCTION begin_charge(varchar, varchar, text, integer, boolean);
DROP FUNCTION billing_period(timestamptz, text);
DROP TABLE charge_event;
DROP FUNCTION refuse_change();
DROP TABLE charge_request;
DROP TABLE charge;
