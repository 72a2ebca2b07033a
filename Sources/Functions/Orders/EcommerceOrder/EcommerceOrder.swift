import Orders
import Postgres
import Runtime

/// `POST /ecommerce/order/{request_id}`: the platform's side of a charge.
@main
struct EcommerceOrder: HTTPFunction {
    private let orders: PlatformOrders
    private let key: String
    private let secret: String

    init(_ settings: Settings) {
        orders = PlatformOrders(Database(settings))
        key = settings.text("ECOMMERCE_API_KEY")
        secret = settings.text("ECOMMERCE_API_SECRET")
    }

    private struct Body: Decodable {
        let customerID: Field<String>
        let skuID: Field<Int32>

        enum CodingKeys: String, CodingKey {
            case customerID = "customer_id"
            case skuID = "sku_id"
        }
    }

    func handle(_ event: HTTPEvent, _ context: Context) throws -> HTTPResponse {
        let isKeyRight = Secret.equal(event.header("x-api-key") ?? "", key)
        let isSecretRight = Secret.equal(event.header("x-api-secret") ?? "", secret)
        guard isKeyRight && isSecretRight else {
            throw Problem(
                "unauthorized", status: 401, title: "Unauthorized",
                detail: "Give the headers x-api-key and x-api-secret that this platform is configured with.")
        }
        let requestID = try event.platformRequestID()
        let body = try event.json(Body.self)
        var check = InputCheck()
        let customer = check.text(body.customerID, "/customer_id", characters: 1...36)
        let sku = check.required(body.skuID, "/sku_id", "a whole number of 32 bits")
        let (madeFor, madeOf) = try check.finish(customer, sku)
        return try .json(
            orders.make(requestID: requestID, customer: madeFor, sku: madeOf, deadline: context.deadline))
    }
}
