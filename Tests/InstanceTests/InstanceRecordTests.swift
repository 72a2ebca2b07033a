import Foundation
import TestSupport
import Testing

@testable import Instance

/// What commands make of what is remembered of an instance: where its servers are, and what another start would change.
@Suite struct InstanceRecordTests {
    @Test("servers outside that the configuration no longer names are given up only when that is asked for")
    func forgottenOutside() throws {
        let project = try EventProject()
        let instance = try TestInstance(folder: project.folder, tool: project.tool)
        // So that what goes on goes no further.
        try project.folder.remove("bin/ProbeFunction")
        func record(
            ecommerce: String, shop: String, rabbitmq: String, databasePort: Int? = nil, brokerPort: Int? = nil
        ) throws {
            let parameters = ["ecommerce.url": ecommerce, "ecommerce.resend": "manual", "billing.time_zone": "UTC"]
            try StartedInstance(
                state: instance.state, configurationFile: "/etc/shop.json", databasePort: databasePort,
                brokerPort: brokerPort, rabbitmq: rabbitmq, databases: ["shop": shop], parameters: parameters
            ).write()
        }
        try record(
            ecommerce: "https://me:secret@shop.example.com/api",
            shop: "postgresql://me:secret@db.example.com/shop?password=secret",
            rabbitmq: "amqp://me:secret@mq.example.com:5673/%2F")
        let lines = [
            "ECOMMERCE_URL": "ecommerce.url (or TAPROOM_ECOMMERCE_URL), which named shop.example.com\n",
            "DATABASES_SHOP": "databases.shop (or TAPROOM_DATABASES_SHOP), which named db.example.com\n",
            "RABBITMQ_URL": "rabbitmq.url (or TAPROOM_RABBITMQ_URL), which named mq.example.com\n",
            "ECOMMERCE_RESEND": "ecommerce.resend (or TAPROOM_ECOMMERCE_RESEND), which was manual; "
                + "TAPROOM_ECOMMERCE_RESEND=idempotent sends what is in doubt again\n",
        ]
        for (given, url) in [
            ("", ""), ("ECOMMERCE_URL", "https://other.example.com"), ("DATABASES_SHOP", "postgresql://h/x"),
            ("RABBITMQ_URL", "amqp://me:x@h"), ("ECOMMERCE_RESEND", "manual"), ("ECOMMERCE_RESEND", "idempotent"),
        ] {
            let refused = try instance.run("up", variables: given.isEmpty ? [:] : ["TAPROOM_\(given)": url])
            #expect(refused.status == 1 && !refused.errors.contains("secret"), "\(refused)")
            for (name, line) in lines { #expect(refused.errors.contains(line) == (name != given), "\(refused)") }
            #expect(refused.errors.contains("TAPROOM_CONFIG, perhaps: it was /etc/shop.json\n"), "\(refused)")
            #expect(refused.errors.contains("go on without: taproom up --scope local --forget-outside"))
            let left = try FileManager.default.contentsOfDirectory(atPath: instance.state)
            #expect(left.sorted() == ["instance.json", "lock"])
        }
        for arguments in [["--forget-outside"], ["--scope", "other"]] {
            let up = try instance.run(["up"] + arguments)
            #expect(up.errors.contains("not built: ProbeFunction"), "\(up)")
        }
        // Our own are not outside, wherever the gateway listens now.
        try record(
            ecommerce: "http://127.0.0.1:1/ecommerce", shop: "postgresql://shop:p@127.0.0.1:2/shop",
            rabbitmq: "amqp://shop:p@127.0.0.1:3", databasePort: 2, brokerPort: 3)
        let own = try instance.run("up", variables: ["TAPROOM_BILLING_TIME_ZONE": "America/Sao_Paulo"])
        #expect(own.errors.contains("not built: ProbeFunction"), "\(own)")
        for change in [
            "gateway.port changes from 1 to \(instance.port)\n", "billing.time_zone changes from UTC to America",
            "ecommerce.resend changes from manual to idempotent\n",
        ] {
            #expect((own.output + own.errors).contains("  \(change)"), "\(own)")
        }
        #expect(!(own.output + own.errors).contains("ecommerce.url changes"), "\(own)")
    }

    @Test("another start says which platform and which ports it changes to, and no secret")
    func changes() throws {
        func record(port: Int, ecommerce: String) throws -> InstanceRecord {
            let text = """
                {"state": "/s", "data": "/s", "run": "/s/run", "scope": "local", "gatewayPort": 1, "databasePort": \(port),
                 "configurationFile": "", "databases": {}, "parameters": {"ecommerce.url": "\(ecommerce)"}}
                """
            return try JSONDecoder().decode(InstanceRecord.self, from: Data(text.utf8))
        }
        let known = try record(port: 2, ecommerce: "https://me:secret@shop.example.com/api")
        #expect(
            try record(port: 3, ecommerce: "https://me:other@shop.example.com/staging").changes(since: known) == [
                "PostgreSQL's port changes from 2 to 3",
                "ecommerce.url changes from https://shop.example.com/api to https://shop.example.com/staging",
            ])
        #expect(known.changes(since: known).isEmpty)
    }

    @Test(
        "who needs the servers of an instance that is down is told so",
        arguments: [
            ["charges", "list"], ["charges", "show", "1"], ["dlq", "list"], ["rebuild-eligibility"],
            ["customers", "rebuild"],
        ])
    func downServers(command: [String]) throws {
        let instance = try TestInstance(folder: TemporaryFolder())
        try StartedInstance(
            state: instance.state, configurationFile: "/none", databasePort: 2, brokerPort: 3,
            rabbitmq: "amqp://taproom:p@127.0.0.1:3",
            databases: [
                "subscriptions": "postgresql://s:p@127.0.0.1:2/subscriptions",
                "customers": "postgresql://c:p@127.0.0.1:2/customers",
            ]
        ).write()
        let refused = try instance.run(command, variables: ["TAPROOM_CONFIG": ""])
        #expect(refused.status == 1 && refused.errors.contains("is down: run make up first"), "\(refused)")
    }
}
