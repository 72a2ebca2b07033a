-- revision: a04c9be5d713
-- down revision: 3fd81c6a2e97
-- message: doubts wrongly ended
--
-- Before 5c0e8b47d1a9 any refusal but 400, 409 and 422 ended a doubt about an order that may have been made: the next
-- request id orders a second time. Those doubts are opened again.

-- migrate: up

-- Declined by something else than 402 or an operator, although an earlier attempt with the same request id never had an
-- answer that counts. charge_doubt_since says since when.
UPDATE charge c SET state = 'unknown', in_doubt = true, settle_at = clock_timestamp()
WHERE c.state = 'declined' AND c.retired_at IS NULL
    AND EXISTS (
        SELECT FROM charge_event said
        WHERE said.charge_id = c.id AND said.attempt = c.attempt AND said.what = 'declined'
            AND said.platform_status <> 402)
    AND EXISTS (
        SELECT FROM charge_event sent
        WHERE sent.charge_id = c.id AND sent.attempt < c.attempt AND sent.request_id = c.request_id
            AND sent.what = 'begun'
            AND NOT EXISTS (
                SELECT FROM charge_event answer
                WHERE answer.charge_id = c.id AND answer.attempt = sent.attempt
                    AND answer.what IN ('declined', 'released'))
            AND NOT EXISTS (
                SELECT FROM charge_event refusal
                WHERE refusal.charge_id = c.id AND refusal.attempt > sent.attempt
                    AND refusal.request_id = c.request_id AND refusal.what = 'declined'
                    AND refusal.platform_status = 402)
            AND NOT EXISTS (SELECT FROM charge_settlement s WHERE s.charge_id = c.id AND s.at > sent.at));

-- migrate: down

-- Nothing: what is in doubt was so before, too, and only the platform or an operator may end it.
