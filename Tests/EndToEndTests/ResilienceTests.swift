import Foundation
import Postgres
import Runtime
import TestSupport
import Testing

extension DirectedInstance {
    /// What a restart, a kill or an overload may cost.
    @Suite struct ResilienceTests {
        let shop: PrivateInstance
        let database: Database
        let club: Int

        init() throws {
            shop = try PrivateInstance.directed.get()
            database = try shop.database()
            club = try shop.club(in: database)
        }

        /// Subscribes from so many threads while `disturb` runs, and gives every answer; a connection without one is `nil`.
        func underLoad(threads: Int = 8, _ disturb: () throws -> Void) throws -> [(
            customer: String, answer: HTTPProbe.Response?
        )] {
            let isOver = Lock(false)
            let load = (0..<threads).map { thread in
                Background { [shop, club] in
                    var answers: [(String, HTTPProbe.Response?)] = []
                    while !isOver.withLock({ $0 }) {
                        let customer = "load-\(thread)-\(answers.count)"
                        answers.append(
                            (
                                customer,
                                try? shop.http.request(
                                    "POST", "/club/\(club)/subscribe/", json: #"{"customer_id":"\#(customer)"}"#)
                            ))
                    }
                    return answers
                }
            }
            defer { isOver.withLock { $0 = true } }
            try Eventually.happens("the load to begin") { try subscribed() > 50 }
            try disturb()
            let soFar = try subscribed()
            try Eventually.happens("the load to go on") { try subscribed() > soFar + 50 }
            isOver.withLock { $0 = true }
            return try load.flatMap { try $0.value() }
        }

        func subscribed() throws -> Int {
            (try? database.execute(
                "SELECT count(*) FROM subscription WHERE club_id = \(club)", deadline: .after(milliseconds: 5000))[0]
                .decode(Int.self)) ?? 0
        }

        /// Every 200 is in the database, and every answer that says nothing ran tells the truth.
        func audit(_ answers: [(customer: String, answer: HTTPProbe.Response?)]) throws {
            let rows = try database.execute(
                "SELECT customer_store_id FROM subscription WHERE club_id = \(club)", deadline: .soon
            )
            let customers = Set(try rows.map { row -> String in try row.decode(String.self) })
            #expect(customers.count == rows.count, "nobody is subscribed twice")
            for (customer, answer) in answers {
                switch answer?.status {
                case 200: #expect(customers.contains(customer))
                case 503 where try answer?.json()["executed"]?.string == "no": #expect(!customers.contains(customer))
                default: break
                }
            }
        }

        @Test func aRollingRestartLosesNoAnswer() throws {
            let before = try shop.pids("subscribe")
            let answers = try underLoad { try shop.tool("restart", "subscribe") }
            #expect(answers.allSatisfy { $0.answer?.status == 200 }, "\(Self.summary(answers))")
            #expect(try shop.pids("subscribe") != before)
            try audit(answers)
        }

        @Test func aSIGTERMLosesNoAnswer() throws {
            let before = try shop.pids("subscribe")
            let answers = try underLoad {
                for pid in before { kill(pid, SIGTERM) }
                try Eventually.happens("another worker") { Set(try shop.pids("subscribe")).isDisjoint(with: before) }
            }
            #expect(answers.allSatisfy { $0.answer?.status == 200 }, "\(Self.summary(answers))")
            try audit(answers)
        }

        @Test func aKilledWorkerLosesOnlyWhatItHadInHand() throws {
            let answers = try underLoad(threads: 8) {
                for pid in try shop.pids("subscribe") { kill(pid, SIGKILL) }
            }
            let lost = answers.filter { $0.answer?.status != 200 }
            #expect(lost.count <= 8, "\(Self.summary(answers))")
            for (_, answer) in lost {
                #expect(answer?.status == 502)
                #expect(try answer?.json()["executed"]?.string == "unknown")
            }
            try audit(answers)
        }

        @Test("PostgreSQL restarted under load recovers by itself", arguments: [SIGINT, SIGQUIT])
        func databaseRestart(signal: Int32) throws {
            let postmaster = try shop.postmaster()
            let answers = try underLoad {
                kill(postmaster, signal)
                try Eventually.happens("another postmaster") {
                    (try? shop.postmaster()).map { $0 != postmaster } ?? false
                }
                try Eventually.happens("readiness") { try shop.http.request("GET", "/readyz").status == 200 }
            }
            // A repeated request that finds its own first try is told so.
            #expect(answers.allSatisfy { [200, 503].contains($0.answer?.status) }, "\(Self.summary(answers))")
            try audit(answers)
        }

        @Test("far more clients than workers: everybody gets an answer, or hears that nothing ran")
        func overload() throws {
            let refused = Lock(0)
            let load = Background { [shop, club] in
                try concurrently(400) { index in
                    let answer = try? shop.http.request(
                        "POST", "/club/\(club)/subscribe/", json: #"{"customer_id":"over-\#(index)"}"#)
                    if answer?.status == 503 { refused.withLock { $0 += 1 } }
                    return (customer: "over-\(index)", answer: answer)
                }
            }
            // Whoever is at work waits until there is no room for more.
            try database.withConnection(deadline: .never) { outsider in
                try outsider.run(script: "BEGIN; LOCK TABLE club_status_history", deadline: .soon)
                try Eventually.happens("a refusal") { refused.withLock { $0 > 0 } }
                try outsider.run(script: "COMMIT", deadline: .soon)
            }
            let answers = try load.value()
            for (_, answer) in answers {
                if answer?.status == 200 { continue }
                #expect(answer?.status == 503)
                #expect(answer?.headers["retry-after"] != nil)
                #expect(try answer?.json()["executed"]?.string == "no")
            }
            #expect(answers.contains { $0.answer?.status == 200 })
            try audit(answers)
        }

        static func summary(_ answers: [(customer: String, answer: HTTPProbe.Response?)]) -> [String: Int] {
            Dictionary(
                answers.map { ("\($0.answer?.status ?? 0) \($0.answer?.problem ?? "")", 1) }, uniquingKeysWith: +)
        }
    }
}
