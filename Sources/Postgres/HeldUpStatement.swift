extension StatementBatcher.Batch {
    /// Runs the batch's statement. A request that goes alone is asked again until its deadline while somebody holds a
    /// lock that it needs. The database refuses it each time well before anybody looks for a deadlock (`lock_together`),
    /// so that no outsider is ended for waiting for what this statement has locked meanwhile.
    package func execute(_ sql: SQL, in database: Database) throws -> Rows {
        try runWhileHeldUp(until: deadline, unless: holdsLane) { try database.execute(sql, deadline: deadline) }
    }
}
