public import Postgres
public import Runtime

/// The shop as an e-commerce platform: makes one order for a request id, however often it is asked.
public struct PlatformOrders: Sendable {
    let database: Database

    public init(_ database: Database) { self.database = database }

    public struct Order: Encodable, Sendable {
        let orderID: String
        let requestID: String
        let customerID: String
        let skuID: Int
        let status: String
        let createdAt: Timestamp

        enum CodingKeys: String, CodingKey {
            case orderID = "order_id"
            case requestID = "request_id"
            case customerID = "customer_id"
            case skuID = "sku_id"
            case status
            case createdAt = "created_at"
        }
    }

    /// Makes the order, or finds the one that was made for the same request id.
    /// - Throws: 409 `order-conflict` when that one has another customer or SKU.
    public func make(requestID: String, customer: String, sku: Int32, deadline: Deadline) throws -> Order {
        // One statement: between two, an outsider could delete the order. The update changes nothing; it lets a row be
        // returned that was there.
        let (id, madeFor, madeOf, created) = try database.execute(
            """
            INSERT INTO platform_order (request_id, id, customer_id, sku_id)
            VALUES (\(requestID), \(Identifier.uuid()), \(customer), \(Int(sku)))
            ON CONFLICT (request_id) DO UPDATE SET request_id = excluded.request_id
            RETURNING id, customer_id, sku_id, created_at AT TIME ZONE 'UTC'
            """, deadline: deadline)[0].decode(String.self, String.self, Int.self, Timestamp.self)
        guard madeFor.hasSameBytes(as: customer), madeOf == Int(sku) else {
            throw Problem(
                "order-conflict", status: 409, title: "Order conflict",
                detail: "Request id “\(requestID)” made an order for another customer or SKU. Use a new one."
            ).with("order_id", id)
        }
        return Order(
            orderID: id, requestID: requestID, customerID: customer, skuID: madeOf, status: "created",
            createdAt: created)
    }
}
