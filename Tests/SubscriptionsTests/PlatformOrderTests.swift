import Migrations
import Postgres
import Runtime
import TestSupport
import Testing

/// The shop's own platform, as a process.
@Suite struct PlatformOrderTests {
    @Test("an order that an outsider deletes while it is asked for again is answered all the same")
    func deletedMeanwhile() throws {
        let url = try PostgresServer.shared.freshDatabase()
        let limit = Deadline.after(milliseconds: 60_000)
        let session = try Connection(url: url, application: "test", deadline: limit)
        try Migrator(connection: session, folder: .load(Repository.root + "/migrations/orders")).upgrade()
        let function = try FunctionProcess(
            "EcommerceOrderFunction", routes: ["POST /ecommerce/order/{request_id}"],
            environment: ["DATABASE_URL": url, "ECOMMERCE_API_KEY": "key", "ECOMMERCE_API_SECRET": "secret"])
        func order() throws -> FastCGIAnswer {
            try function.request(
                "POST", "/ecommerce/order/r-1",
                parameters: [("HTTP_X_API_KEY", "key"), ("HTTP_X_API_SECRET", "secret")],
                body: Array(#"{"customer_id": "c", "sku_id": 7}"#.utf8))
        }
        let first = try order()
        #expect(first.status == 200)
        #expect(try order().body == first.body)
        // Right after the statement that inserts nothing.
        try session.run(
            script: """
                CREATE FUNCTION outsider() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN DELETE FROM platform_order; RETURN NULL; END $$;
                CREATE TRIGGER outsider AFTER INSERT ON platform_order EXECUTE FUNCTION outsider();
                """, deadline: limit)
        #expect(try order().body == first.body)
        #expect(function.process.end == nil)
    }

    @Test("a customer whose id is canonically equivalent to another's is another one")
    func equivalentCustomer() throws {
        let url = try PostgresServer.shared.freshDatabase()
        let limit = Deadline.after(milliseconds: 60_000)
        let session = try Connection(url: url, application: "test", deadline: limit)
        try Migrator(connection: session, folder: .load(Repository.root + "/migrations/orders")).upgrade()
        let function = try FunctionProcess(
            "EcommerceOrderFunction", routes: ["POST /ecommerce/order/{request_id}"],
            environment: ["DATABASE_URL": url, "ECOMMERCE_API_KEY": "key", "ECOMMERCE_API_SECRET": "secret"])
        let statuses = try ["\u{E9}", "e\u{301}", "\u{E9}"].map { customer in
            try function.request(
                "POST", "/ecommerce/order/r-1",
                parameters: [("HTTP_X_API_KEY", "key"), ("HTTP_X_API_SECRET", "secret")],
                body: Array(#"{"customer_id": "\#(customer)", "sku_id": 7}"#.utf8)
            ).status
        }
        #expect(statuses == [200, 409, 200])
    }
}
