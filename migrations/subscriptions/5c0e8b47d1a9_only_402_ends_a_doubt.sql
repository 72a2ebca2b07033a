-- revision: 5c0e8b47d1a9
-- down revision: 78da82a6e293
-- message: only 402 ends a doubt
--
-- A 404 or 410 may come from a proxy without a backend or from behind a mistyped path: it ended the doubt about an
-- order that had been made, and the next request id ordered a second time.

-- migrate: up

-- As before, but for which refusals end a doubt.
CREATE OR REPLACE FUNCTION finish_charge(
    p_charge bigint, p_attempt integer, p_request varchar, p_outcome text, p_platform_status integer, p_order text,
    p_excerpt varchar,
    OUT charge_state text, OUT sent_request text, OUT charged timestamp, OUT recorded_order text
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO charge_event (charge_id, attempt, request_id, what, platform_status, excerpt)
    VALUES (p_charge, p_attempt, p_request, p_outcome, p_platform_status, p_excerpt);
    IF p_outcome = 'charged' THEN
        UPDATE charge c SET state = 'charged', request_id = p_request, charged_at = clock_timestamp(),
            platform_order = p_order, in_doubt = false, settle_at = NULL, settle_count = 0
        WHERE c.id = p_charge AND c.state <> 'charged';
    ELSE
        -- Of refusals only 402 ends a doubt about the same request id: who speaks of the money knows the order. 400,
        -- 409 and 422 are said also of an id that was seen before or is still worked on, 404 and 410 also by what
        -- answers in the platform's place. What was not sent or not heard says nothing about an earlier attempt.
        WITH said AS (
            SELECT c.id, CASE
                WHEN p_outcome = 'declined' AND (NOT c.in_doubt OR p_platform_status = 402) THEN 'declined'
                WHEN p_outcome = 'released' AND NOT c.in_doubt THEN 'released'
                ELSE 'unknown' END AS state
            FROM charge c WHERE c.id = p_charge AND c.attempt = p_attempt AND c.state = 'sending'
            FOR UPDATE)
        UPDATE charge c SET
            state = said.state,
            in_doubt = said.state = 'unknown',
            settle_at = CASE WHEN said.state = 'unknown' THEN clock_timestamp() + coalesce(
                (ARRAY['1 minute', '5 minutes', '30 minutes', '2 hours']::interval[])[c.settle_count + 1], '1 day') END,
            settle_count = CASE WHEN said.state = 'unknown' THEN c.settle_count ELSE 0 END,
            lease_until = clock_timestamp()
        FROM said WHERE c.id = said.id;
    END IF;
    SELECT c.state, c.request_id, c.charged_at AT TIME ZONE 'UTC', c.platform_order
    INTO charge_state, sent_request, charged, recorded_order FROM charge c WHERE c.id = p_charge;
END $$;

-- migrate: down

CREATE OR REPLACE FUNCTION finish_charge(
    p_charge bigint, p_attempt integer, p_request varchar, p_outcome text, p_platform_status integer, p_order text,
    p_excerpt varchar,
    OUT charge_state text, OUT sent_request text, OUT charged timestamp, OUT recorded_order text
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO charge_event (charge_id, attempt, request_id, what, platform_status, excerpt)
    VALUES (p_charge, p_attempt, p_request, p_outcome, p_platform_status, p_excerpt);
    IF p_outcome = 'charged' THEN
        UPDATE charge c SET state = 'charged', request_id = p_request, charged_at = clock_timestamp(),
            platform_order = p_order, in_doubt = false, settle_at = NULL, settle_count = 0
        WHERE c.id = p_charge AND c.state <> 'charged';
    ELSE
        -- A refusal clears a doubt about the same request id, but for 400, 409 and 422: a platform says those also of an
        -- id that it has seen before or is still working on. What was not sent or not heard says nothing about an
        -- earlier attempt.
        WITH said AS (
            SELECT c.id, CASE
                WHEN p_outcome = 'declined' AND NOT (c.in_doubt AND p_platform_status IN (400, 409, 422)) THEN 'declined'
                WHEN p_outcome = 'released' AND NOT c.in_doubt THEN 'released'
                ELSE 'unknown' END AS state
            FROM charge c WHERE c.id = p_charge AND c.attempt = p_attempt AND c.state = 'sending'
            FOR UPDATE)
        UPDATE charge c SET
            state = said.state,
            in_doubt = said.state = 'unknown',
            settle_at = CASE WHEN said.state = 'unknown' THEN clock_timestamp() + coalesce(
                (ARRAY['1 minute', '5 minutes', '30 minutes', '2 hours']::interval[])[c.settle_count + 1], '1 day') END,
            settle_count = CASE WHEN said.state = 'unknown' THEN c.settle_count ELSE 0 END,
            lease_until = clock_timestamp()
        FROM said WHERE c.id = said.id;
    END IF;
    SELECT c.state, c.request_id, c.charged_at AT TIME ZONE 'UTC', c.platform_order
    INTO charge_state, sent_request, charged, recorded_order FROM charge c WHERE c.id = p_charge;
END $$;
