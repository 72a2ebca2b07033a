import Foundation
import TestSupport

@testable import Instance

/// A project of its own with one service, a consumer and a relay that only say what they were started with, and the
/// tool that runs it.
final class EventProject: Sendable {
    let folder: TemporaryFolder
    var tool: String { folder.path + "/bin/taproom" }

    init() throws {
        folder = try TemporaryFolder()
        try write(queue: "shop.paid")
        try folder.write(
            "model_config.json",
            """
            {"databases": {"shop": ""}, "embedded_passwords": {"shop": "", "rabbitmq": ""}, "rabbitmq": {"url": ""},
             "ecommerce": {"url": "", "api_key": "", "api_secret": "", "resend": "idempotent"}}
            """)
        try folder.write("migrations/shop/0123456789ab_outbox.sql", Self.outbox)
        for name in ["openapi.yml", "asyncapi.yml"] { try folder.write(name, "info: {}\n") }
        try folder.write("scripts/install-packages", "#!/bin/sh\n")
        chmod(folder.path + "/scripts/install-packages", 0o755)
        try write(
            function: "Probe",
            script: """
                [ "$1" = --event ] && exec cat
                env >"$PROBE_FOLDER/$TAPROOM_FUNCTION.new" && mv "$PROBE_FOLDER/$TAPROOM_FUNCTION.new" \
                "$PROBE_FOLDER/$TAPROOM_FUNCTION"
                exec sleep 600
                """)
        let built = (TestProject.tool as NSString).deletingLastPathComponent
        for name in ["taproom", "LivezFunction"] {
            try folder.copy(executable: "\(built)/\(name)", to: "bin/\(name)")
        }
        symlink("\(built)/libraries", "\(folder.path)/bin/libraries")
        try folder.write("probes/README", "what the processes were started with")
        chmod(folder.path + "/probes", 0o777)
    }

    /// Writes the executable of a function, which is a script of the shell.
    func write(function name: String, script: String) throws {
        try folder.write("bin/\(name)Function", "#!/bin/sh\n\(script)\n")
        chmod("\(folder.path)/bin/\(name)Function", 0o755)
    }

    /// Writes functions.yml.
    /// - Parameter more: a line for one more function.
    func write(queue: String, routingKey: String = "order.*", more: String = "") throws {
        try folder.write(
            "functions.yml",
            """
            functions:
              ready: {handler: Shop/Livez, events: [{httpApi: GET /readyz}]}
              consumer:
                handler: Shop/Probe
                environment: {AMQP_URL: "${param:rabbitmq.url}", PROBE_FOLDER: \(folder.path)/probes}
                events:
                  - rabbitmq: {queue: \(queue), exchange: shop.events, routingKey: \(routingKey), retry: [5s, 2m]}
              relay:
                handler: Shop/Probe
                environment:
                  AMQP_URL: ${param:rabbitmq.url}
                  OUTBOX_SIGNAL: ${param:signals.shop}
                  PROBE_FOLDER: \(folder.path)/probes
                events: [{outbox: {service: shop, exchange: shop.events}}]
            \(more)

            """)
    }

    /// The environment of a probe that was started since this was last called for it.
    func environment(of function: String) -> [String: String]? {
        guard let text = try? folder.read("probes/\(function)") else { return nil }
        try? folder.remove("probes/\(function)")
        let pairs = text.split(separator: "\n").map { $0.split(separator: "=", maxSplits: 1).map(String.init) }
        return Dictionary(pairs.filter { $0.count == 2 }.map { ($0[0], $0[1]) }) { $1 }
    }

    private static let outbox = """
        -- revision: 0123456789ab
        -- down revision: none
        -- message: outbox

        -- migrate: up

        CREATE TABLE outbox (
            position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            state varchar(10) NOT NULL DEFAULT 'waiting'
        );

        -- migrate: down

        DROP TABLE outbox;

        """
}
