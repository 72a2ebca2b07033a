public import Postgres
public import Runtime

extension Connection {
    /// Deletes every row of every table that the catalog shows, in an order that foreign keys allow and in one
    /// transaction: as suites do that know only the database.
    public func deleteEverything(deadline: Deadline) throws {
        try run(
            script: """
                DO $$
                DECLARE
                    remaining regclass[] := ARRAY(
                        SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace);
                    next regclass;
                BEGIN
                    WHILE cardinality(remaining) > 0 LOOP
                        SELECT r INTO STRICT next FROM unnest(remaining) r
                        WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND confrelid = r
                            AND conrelid <> r AND conrelid = ANY (remaining::oid[])) ORDER BY r::text LIMIT 1;
                        EXECUTE format('DELETE FROM %s', next);
                        remaining := array_remove(remaining, next);
                    END LOOP;
                END $$
                """, deadline: deadline)
    }
}
