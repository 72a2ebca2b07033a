import Events
import Postgres
import Runtime
import Subscriptions

/// `POST /club/{id}/subscribe/`: subscribes a customer to a club that is active now.
@main
struct Subscribe: HTTPFunction {
    private let store: SubscriptionStore

    init(_ settings: Settings) { store = SubscriptionStore(Database(settings), RelaySignal(settings)) }

    private struct Body: Decodable {
        let customerID: Field<String>

        enum CodingKeys: String, CodingKey { case customerID = "customer_id" }
    }

    private struct Response: Encodable {
        let id: String
        let clubID: Int32
        let customerID: String
        let statusID: Int
        let createDate: Timestamp

        enum CodingKeys: String, CodingKey {
            case id
            case clubID = "club_id"
            case customerID = "customer_id"
            case statusID = "status_id"
            case createDate = "create_date"
        }
    }

    func handle(_ event: HTTPEvent, _ context: Context) throws -> HTTPResponse {
        let id = try event.path("id")
        // A club has one path: +1 and 01 are nobody's.
        guard let club = Int32(id), "\(club)" == id else { throw SubscriptionProblem.clubNotFound(id) }
        let body = try event.json(Body.self)
        var check = InputCheck()
        let customer = try check.finish(check.text(body.customerID, "/customer_id", characters: 1...36))
        let made = try store.subscribe(
            customer: customer, toClub: club, cause: EventCause(context), deadline: context.deadline)
        return try .json(
            Response(
                id: made.id, clubID: club, customerID: customer, statusID: StatusID.active,
                createDate: made.createDate))
    }
}
