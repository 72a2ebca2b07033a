import Events
import Postgres
import Runtime

/// The relay's side of a service's outbox: which lanes it may publish, what waits in them, what came of it.
///
/// A lease on a lane keeps relays out of each other's way; it is not a lock. Two that publish the same lane for a moment,
/// because one stood still past its lease, repeat events but never bring them out of order: each takes waiting rows by
/// position, so an event goes out for the first time only after all before it in its lane. Out of order comes only what
/// was sent together with an event that the broker refused; it is sent again after that one.
struct OutboxTable {
    struct Row {
        let position: Int
        let envelope: Envelope
        let data: String

        var subject: String { envelope.subject ?? "" }
    }

    let service: String
    /// Who holds the lanes.
    let holder: String
    let batchSize: Int

    static let leaseSeconds = 3

    /// Takes every lane that nobody else holds, and holds on to those it has. Each is named once, also where a dump that
    /// was restored beside a relay has left it in the table twice, without the primary key. Where somebody has emptied the
    /// table, the lanes are there for the next call.
    func claimLanes(in session: Connection, deadline: Deadline) throws -> [Int] {
        let lanes = try session.execute(
            """
            UPDATE outbox_lane SET held_by = \(holder), held_until = clock_timestamp() + \(Self.leaseSeconds) * interval '1 s'
            WHERE lane IN (SELECT lane FROM outbox_lane WHERE held_by = \(holder) OR held_until < clock_timestamp()
                           ORDER BY lane FOR UPDATE SKIP LOCKED)
            RETURNING lane
            """, deadline: deadline
        ).map { try $0.decode(Int.self) }
        if lanes.isEmpty {
            try session.execute(
                """
                INSERT INTO outbox_lane (lane) SELECT generate_series(0, 7) WHERE NOT EXISTS (SELECT FROM outbox_lane)
                ON CONFLICT DO NOTHING
                """, deadline: deadline)
        }
        return Array(Set(lanes))
    }

    func releaseLanes(in session: Connection, deadline: Deadline) throws {
        try session.execute(
            "UPDATE outbox_lane SET held_by = NULL, held_until = '-infinity' WHERE held_by = \(holder)",
            deadline: deadline)
    }

    /// The first waiting events of some lanes. Each lane is read by itself, by the index: a long outbox would be sorted as
    /// a whole otherwise.
    /// - Parameter excluded: subjects whose events are left out. A subquery, and not ANY: a server of any release hashes it.
    func waiting(
        lanes: [Int], excluded: [String], in session: Connection, deadline: Deadline
    ) throws -> [Row] {
        try session.execute(
            """
            SELECT e.position, e.id, e.type, e.subject, e.sequence,
                   to_char(e.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                   e.data, e.traceparent, e.correlation_id, e.causation_id
            FROM unnest(\(lanes)::smallint[]) AS held (lane)
            CROSS JOIN LATERAL (SELECT * FROM outbox WHERE state = 'waiting' AND outbox.lane = held.lane
                                AND (\(excluded.isEmpty)::boolean
                                     OR subject NOT IN (SELECT unnest(\(excluded)::text[])))
                                ORDER BY position LIMIT \(batchSize)) AS e
            ORDER BY e.position LIMIT \(batchSize)
            """, deadline: deadline
        ).map { row in
            let (position, id, type, subject, sequence, time, data, traceparent, correlationID, causationID) =
                try row.decode(
                    Int.self, String.self, String.self, String.self, Int.self, String.self, String.self, String?.self,
                    String?.self, String?.self)
            return Row(
                position: position,
                envelope: Envelope(
                    id: id, type: type, source: "/taproom/\(service)", subject: subject, time: time,
                    sequence: sequence,
                    cause: EventCause(
                        traceparent: traceparent, correlationID: correlationID, causationID: causationID)),
                data: data)
        }
    }

    /// Records what the broker said. Of events that are gone nothing is recorded: where somebody has truncated the table
    /// and let positions begin again, another event may have the position of one.
    func settle(sent: [Row], unroutable: [Row], in session: Connection, deadline: Deadline) throws {
        let settled = sent + unroutable
        try session.execute(
            """
            UPDATE outbox SET state = CASE WHEN position = ANY(\(unroutable.map(\.position))::bigint[]) THEN 'unroutable'
                                           ELSE 'sent' END,
                              settled_at = clock_timestamp()
            WHERE position = ANY(\(settled.map(\.position))::bigint[]) AND id = ANY(\(settled.map(\.envelope.id))::uuid[])
                AND state = 'waiting'
            """, deadline: deadline)
    }
}
