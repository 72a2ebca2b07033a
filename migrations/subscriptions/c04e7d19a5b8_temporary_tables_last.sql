-- revision: c04e7d19a5b8
-- down revision: 7b2e94d0c6f3
-- message: temporary tables last
--
-- Triggers that run as the owner took an outsider's temporary table for ours when it had the same name, since
-- PostgreSQL looks for tables among the temporary ones first where the search path does not name those. And the check
-- of all intervals could run for hours where statistics are old.

-- migrate: up

-- The schema is the one that the functions are in, which need not be public.
DO $$
DECLARE
    command text;
BEGIN
    FOR command IN
        SELECT format('ALTER FUNCTION %s SET search_path = %s, pg_temp',
            p.oid::regprocedure, p.pronamespace::regnamespace)
        FROM pg_proc p
        WHERE p.pronamespace = (SELECT c.relnamespace FROM pg_class c WHERE c.oid = 'active_interval'::regclass)
            AND p.prorettype = 'trigger'::regtype AND p.prosecdef
            AND p.proname IN (
                'retire_charges_of_deleted', 'retire_all_charges', 'hold_charged_subscription',
                'move_charges_of_renamed', 'history_inserted', 'history_updated', 'history_deleted',
                'history_truncated', 'subscription_updated')
    LOOP
        EXECUTE command;
    END LOOP;
END $$;

-- To statistics from a time when few rows counted, it seems cheap to read all subscriptions for each of them.
ALTER FUNCTION wrong_active_intervals() SET enable_nestloop = off;

-- migrate: down

ALTER FUNCTION wrong_active_intervals() RESET enable_nestloop;

DO $$
DECLARE
    command text;
BEGIN
    FOR command IN
        SELECT format('ALTER FUNCTION %s SET search_path FROM CURRENT', p.oid::regprocedure)
        FROM pg_proc p
        WHERE p.pronamespace = (SELECT c.relnamespace FROM pg_class c WHERE c.oid = 'active_interval'::regclass)
            AND p.prorettype = 'trigger'::regtype AND p.prosecdef
            AND p.proname IN (
                'retire_charges_of_deleted', 'retire_all_charges', 'hold_charged_subscription',
                'move_charges_of_renamed', 'history_inserted', 'history_updated', 'history_deleted',
                'history_truncated', 'subscription_updated')
    LOOP
        EXECUTE command;
    END LOOP;
END $$;
