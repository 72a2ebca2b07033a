public import Postgres
public import Runtime

/// The clubs as visitors and operators see them.
public struct ClubCatalogue: Sendable {
    let database: Database

    public init(_ database: Database) { self.database = database }

    public struct Club: Encodable, Sendable {
        let id: Int
        let name: String?
        let storeSKU: Int?
        let status: Status?
        let nextChange: ScheduledStatus?

        enum CodingKeys: String, CodingKey {
            case id, name, status
            case storeSKU = "store_sku"
            case nextChange = "next_change"
        }
    }

    /// Every club in order of id; `status` is absent for one whose history says nothing yet.
    public func all(deadline: Deadline) throws -> [Club] {
        try database.read(locking: Self.tables, deadline: deadline) { try clubs($0, deadline) }
    }

    private static let tables = ["club", "club_status", "club_status_history"]

    private func clubs(_ connection: Connection, _ deadline: Deadline) throws -> [Club] {
        try connection.execute(
            """
            WITH moment AS MATERIALIZED (SELECT utc_now() AS at)
            SELECT c.id, c.name, c.store_sku, s.id, s.name, n.club_status_id, n.status, n.effect_date
            FROM club c CROSS JOIN moment m
            LEFT JOIN club_status s ON s.id = current_club_status(c.id, m.at)
            LEFT JOIN LATERAL (
                SELECT h.club_status_id, t.name AS status, h.effect_date
                FROM club_status_history h LEFT JOIN club_status t ON t.id = h.club_status_id
                WHERE h.club_id = c.id AND h.effect_date > m.at
                ORDER BY h.effect_date, h.create_date DESC NULLS LAST, h.id DESC LIMIT 1) n ON true
            ORDER BY c.id
            """, deadline: deadline
        ).map { row in
            let (id, name, sku, statusID, status, nextID, next, date) = try row.decode(
                Int.self, String?.self, Int?.self, Int?.self, String?.self, Int?.self, String?.self, Timestamp?.self)
            return Club(
                id: id, name: name, storeSKU: sku, status: Status(id: statusID, name: status),
                nextChange: ScheduledStatus(id: nextID, name: next, effectDate: date))
        }
    }
}
