import Postgres
import Runtime
import TestSupport
import Testing

/// The shop's own platform, as a process.
@Suite struct PlatformOrderTests {
    private let session: Connection
    private let function: FunctionProcess

    init() throws {
        let url = try PostgresServer.shared.migratedDatabase("orders")
        session = try Connection(url: url, application: "test", deadline: .soon)
        function = try FunctionProcess(
            "EcommerceOrderFunction", routes: ["POST /ecommerce/order/{request_id}"],
            environment: ["DATABASE_URL": url, "ECOMMERCE_API_KEY": "key", "ECOMMERCE_API_SECRET": "secret"])
    }

    private func order(of customer: String, key: String = "key", secret: String = "secret") throws -> FastCGIResponse {
        try function.request(
            "POST", "/ecommerce/order/r-1", parameters: [("HTTP_X_API_KEY", key), ("HTTP_X_API_SECRET", secret)],
            body: Array("{\"customer_id\": \"\(customer)\", \"sku_id\": 7}".utf8))
    }

    @Test("an order that an outsider deletes while it is asked for again is answered all the same")
    func deletedMeanwhile() throws {
        let first = try order(of: "c")
        #expect(first.status == 200)
        #expect(try order(of: "c").body == first.body)
        // Right after the statement that inserts nothing.
        try session.run(
            script: """
                CREATE FUNCTION outsider() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN DELETE FROM platform_order; RETURN NULL; END $$;
                CREATE TRIGGER outsider AFTER INSERT ON platform_order EXECUTE FUNCTION outsider();
                """, deadline: .soon)
        #expect(try order(of: "c").body == first.body)
        #expect(function.process.end == nil)
    }

    @Test("nobody orders without both the key and the secret", arguments: [("key", "x"), ("x", "secret"), ("", "")])
    func wrongCredentials(key: String, secret: String) throws {
        let answer = try order(of: "c", key: key, secret: secret)
        #expect(answer.status == 401 && answer.problem == "unauthorized")
        #expect(try session.execute("SELECT FROM platform_order", deadline: .soon).isEmpty)
    }

    @Test("a customer whose id is canonically equivalent to another's is another one")
    func equivalentCustomer() throws {
        let statuses = try ["\u{E9}", "e\u{301}", "\u{E9}"].map { try order(of: $0).status }
        #expect(statuses == [200, 409, 200])
    }
}
