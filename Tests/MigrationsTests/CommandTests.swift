import TestSupport
import Testing

/// `taproom migrate` as people and scripts see it.
@Suite struct CommandTests {
    @Test func verbsAnswerAsAlembicDoes() throws {
        let fixture = try Fixture()
        let history = """
            \(Fixture.second) -> \(Fixture.third) (head), step \(Fixture.third)
            \(Fixture.first) -> \(Fixture.second), step \(Fixture.second)
            <base> -> \(Fixture.first), approved model

            """
        #expect(try fixture.taproom("current").output == "")
        #expect(try fixture.taproom("history").output == history)
        #expect(try fixture.taproom("heads").output == "\(Fixture.third) (head)\n")
        #expect(try fixture.taproom("-x", "scope=local", "upgrade", "+1").status == 0)
        #expect(try fixture.taproom("current").output == "\(Fixture.first)\n")
        #expect(try fixture.taproom("upgrade", "head").status == 0)
        #expect(try fixture.taproom("current").output == "\(Fixture.third) (head)\n")
        #expect(try fixture.taproom("check").output == "No new upgrade operations detected.\n")
        #expect(try fixture.taproom("downgrade", "-1").status == 0)
        #expect(try fixture.taproom("history", "-i").output.contains("\(Fixture.second) (current), step"))
        #expect(try fixture.taproom("history", "-r", "6640:+1").output.split(separator: "\n").count == 2)
        #expect(try fixture.taproom("show", "6640").output.hasPrefix("Rev: \(Fixture.first)\nParent: <base>\n"))
        #expect(try fixture.taproom("stamp", "base").status == 0)
        #expect(try fixture.taproom("current").output == "")
    }

    @Test func whatIsShownCountsFromWhereTheDatabaseIs() throws {
        let fixture = try Fixture()
        #expect(try fixture.taproom("upgrade", Fixture.second).status == 0)
        for (target, revision) in [
            ("-1", Fixture.first), ("+1", "\(Fixture.third) (head)"), ("current-1", Fixture.first),
            ("head-1", Fixture.second),
        ] {
            let shown = try fixture.taproom("show", target)
            #expect(shown.output.hasPrefix("Rev: \(revision)\n"), "\(target): \(shown.output) \(shown.errors)")
        }
    }

    @Test func aScriptForgetsNoVersions() throws {
        let refused = try Fixture().taproom("stamp", "--purge", "--sql", "head")
        #expect(refused.status == 64 && refused.output.isEmpty, "\(refused.output)")
        #expect(refused.errors.contains("Can't use --purge with --sql mode"))
    }

    @Test func sqlAsksNoDatabase() throws {
        let away = ["TAPROOM_DATABASES_SUBSCRIPTIONS": "postgresql://127.0.0.1:1/none"]
        let fixture = try Fixture()
        for arguments in [["upgrade", "head"], ["downgrade", "head:base"], ["stamp", "head"]] {
            let result = try fixture.taproom(arguments[0], "--sql", arguments[1], environment: away)
            #expect(result.status == 0)
            #expect(result.output.hasPrefix("BEGIN;"))
        }
    }

    @Test func aRevisionIsMadeAndApplied() throws {
        let fixture = try Fixture()
        let made = try fixture.taproom("revision", "-m", "add things")
        #expect(made.output.hasPrefix("Generating migrations/subscriptions/"))
        #expect(made.output.hasSuffix("_add_things.sql ...  done\n"))
        #expect(try fixture.taproom("upgrade", "head").errors.contains("-> "))
        #expect(try fixture.taproom("check").status == 0)
    }

    @Test func failuresAreOnStderrWithStatusOne() throws {
        let fixture = try Fixture()
        for arguments in [["upgrade", "zz"], ["downgrade", "-1"], ["upgrade", "aa"], ["upgrade", "base:head"]] {
            let result = try fixture.taproom(arguments[0], arguments[1])
            #expect(result.status == 1)
            #expect(result.errors.hasPrefix("FAILED: "))
            #expect(result.output == "")
        }
        let check = try fixture.taproom("check")
        #expect(check.status == 1)
        #expect(check.errors.contains("subscriptions: Target database is not up to date"))
        #expect(try fixture.taproom("current", "--check-heads").status == 1)
        #expect(try fixture.schema() == [])
    }

    @Test("a full disk under the progress stops nothing; a script that it cuts off is an error")
    func fullDisk() throws {
        let fixture = try Fixture()
        func migrate(_ rest: String) throws -> TestProcess {
            try TestProcess.run(
                "/bin/sh", ["-c", #"exec "$0" migrate \#(rest)"#, TestProcess.product("taproom")],
                environment: ["TAPROOM_DATABASES_SUBSCRIPTIONS": fixture.url], folder: fixture.project.path)
        }
        #expect(try migrate("upgrade head 2>/dev/full").status == 0)
        #expect(try fixture.versions() == [Fixture.third])
        #expect(try migrate("upgrade zz 2>/dev/full").status == 1)
        let script = try migrate("upgrade --sql head >/dev/full")
        #expect(script.status == 1 && script.errors.contains("standard output cannot be written"), "\(script.errors)")
    }

    @Test("closed standard streams and a reader that has gone are as a full disk, and never a session's text")
    func closedStreams() throws {
        let fixture = try Fixture()
        func migrate(_ rest: String) throws -> TestProcess {
            // Descriptor 4 is a pipe that nobody reads.
            let command = "mkfifo pipe; exec 3<>pipe 4>pipe 3>&-; rm pipe; exec \"$0\" migrate "
            return try TestProcess.run(
                "/bin/sh", ["-c", command + rest, TestProcess.product("taproom")],
                environment: ["TAPROOM_DATABASES_SUBSCRIPTIONS": fixture.url], folder: fixture.project.path)
        }
        for (index, streams) in ["2>&-", "<&- >&- 2>&-", "2>&4"].enumerated() {
            let status = try migrate("upgrade +1 \(streams)").status
            #expect(status == 0, "\(streams): \(status)")
            #expect(try fixture.versions() == [[Fixture.first, Fixture.second, Fixture.third][index]], "\(streams)")
        }
        let closed = try migrate("current >&-")
        #expect(closed.status == 1 && closed.errors.contains("standard output cannot be written"), "\(closed)")
        let unread = try migrate("current >&4")
        #expect(unread.status == 1 && unread.errors.isEmpty, "\(unread)")
    }

    @Test(arguments: [("PGHOSTADDR", "127.0.0.2"), ("PGSSLMODE", "require"), ("PGCHANNELBINDING", "require")])
    func libpqsVariablesChangeNothing(name: String, value: String) throws {
        let fixture = try Fixture()
        let upgrade = try fixture.taproom("upgrade", "head", environment: [name: value])
        #expect(upgrade.status == 0, "\(upgrade.errors)")
        #expect(try fixture.versions() == [Fixture.third])
    }

    @Test func theScopeChoosesTheConfiguration() throws {
        let fixture = try Fixture()
        let unset = ["TAPROOM_DATABASES_SUBSCRIPTIONS": ""]
        try fixture.configure("stage_config.json", subscriptions: fixture.url)
        try fixture.configure("local_config.json", subscriptions: "")
        #expect(try fixture.taproom("-x", "scope=stage", "upgrade", "6640", environment: unset).status == 0)
        #expect(try fixture.taproom("-c", "stage_config.json", "current", environment: unset).output != "")
        let empty = try fixture.taproom("upgrade", "head", environment: unset)
        #expect(empty.status == 1)
        #expect(empty.errors.contains("the embedded database of subscriptions was never started"))
        #expect(empty.errors.contains("make up"))
        func other(_ arguments: String..., scope: String) throws -> TestProcess {
            try TestProcess.run(
                TestProcess.product("taproom"), ["migrate"] + arguments + ["current"],
                environment: unset.merging(["TAPROOM_SCOPE": scope]) { $1 }, folder: fixture.project.path)
        }
        #expect(try other(scope: "stage").output == "\(Fixture.first)\n")
        #expect(try other("-x", "scope=stage", scope: "prod").output == "\(Fixture.first)\n")
        #expect(try other(scope: "../stage").errors.contains("TAPROOM_SCOPE) must consist of letters"))
        try fixture.configure("prod_config.json", subscriptions: "")
        #expect(try other(scope: "prod").errors.contains("run taproom up --scope prod first"))
        try fixture.project.remove("prod_config.json")
        let absent = try fixture.taproom("-x", "scope=prod", "current", environment: unset)
        #expect(absent.errors.contains("prod_config.json"))
        #expect(try fixture.taproom("-x", "region=local", "current").status != 0)
    }

    @Test func anAddressInTheEnvironmentIsCheckedAsInTheConfiguration() throws {
        let wrong = try Fixture().taproom("current", environment: ["TAPROOM_DATABASES_SUBSCRIPTIONS": "localhost"])
        #expect(wrong.status == 1)
        #expect(wrong.errors.contains("TAPROOM_DATABASES_SUBSCRIPTIONS has no usable value: give a libpq URI"))
    }

    @Test func anUnmigratedDatabaseIsNotReady() throws {
        let run = try FunctionRun(
            "ReadyzFunction", arguments: ["--event"],
            environment: FunctionProcess.environment("ReadyzFunction", routes: ["GET /readyz"])
                .merging(["DATABASE_URL": try Fixture().url, "MIGRATION_HEAD": Fixture.first]) { $1 },
            input: Array(#"{"rawPath": "/readyz", "requestContext": {"http": {"method": "GET"}}}"#.utf8))
        let answer = String(decoding: run.output, as: UTF8.self)
        #expect(answer.contains("no migration has run"), "\(answer) \(run.lines)")
        #expect(answer.contains("taproom doctor"), "the scope is not this function's to know: \(answer)")
    }

    @Test func severalServicesGoInNameOrderAndRevisionsFindTheirOwn() throws {
        let fixture = try Fixture()
        let orders = ["TAPROOM_DATABASES_ORDERS": try PostgresServer.shared.freshDatabase()]
        try fixture.project.write("migrations/orders/dd44_orders.sql", Fixture.file("dd44", after: "none"))
        let upgrade = try fixture.taproom("upgrade", "+1", environment: orders)
        #expect(
            upgrade.errors == """
                INFO  [orders] Running upgrade  -> dd44, step dd44
                INFO  [subscriptions] Running upgrade  -> \(Fixture.first), approved model

                """)
        let current = try fixture.taproom("current", environment: orders)
        #expect(current.output == "orders:\ndd44 (head)\nsubscriptions:\n\(Fixture.first)\n")
        #expect(try fixture.taproom("upgrade", "aa11", environment: orders).errors.contains("[subscriptions]"))
        #expect(try fixture.taproom("--service", "orders", "heads").output == "dd44 (head)\n")
        #expect(try fixture.taproom("show", "dd44").output.hasPrefix("Rev: dd44 (head)"))
        #expect(try fixture.taproom("revision", "-m", "x").errors.contains("choose one of orders, subscriptions"))
        #expect(try fixture.taproom("upgrade", "head", "--sql").status == 1)
    }

    @Test func oneServiceNeedsNoOthersDatabase() throws {
        let fixture = try Fixture()
        try fixture.project.write("migrations/orders/dd44_orders.sql", Fixture.file("dd44", after: "none"))
        let orders = try PostgresServer.shared.freshDatabase()
        // That of subscriptions is embedded and was never started.
        try fixture.project.write(
            "local_config.json",
            """
            {"databases": {"orders": "\(orders)", "subscriptions": ""}, "embedded_passwords": {"subscriptions": "secret"},
             "ecommerce": {"url": "", "api_key": "key", "api_secret": "secret"}}
            """)
        let embedded = ["TAPROOM_DATABASES_SUBSCRIPTIONS": ""]
        let upgrade = try fixture.taproom("--service", "orders", "upgrade", "head", environment: embedded)
        #expect(upgrade.status == 0 && upgrade.errors.contains("[orders] Running upgrade"), "\(upgrade.errors)")
        let other = try fixture.taproom("--service", "subscriptions", "current", environment: embedded)
        #expect(other.errors.contains("the embedded database of subscriptions was never started"), "\(other.errors)")
    }

    @Test func nothingStartsWhileOneServiceHasNoDatabase() throws {
        let fixture = try Fixture()
        try fixture.project.write("migrations/zoo/dd44_zoo.sql", Fixture.file("dd44", after: "none"))
        try fixture.configure("local_config.json", subscriptions: "")
        let result = try fixture.taproom("upgrade", "head")
        #expect(result.errors.contains("databases.zoo"))
        #expect(try fixture.schema() == [])
    }
}
