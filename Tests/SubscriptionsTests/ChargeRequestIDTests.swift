import Charging
import Postgres
import Runtime
import Subscriptions
import TestSupport
import Testing

/// Which request id is sent, and which is refused.
@Suite struct ChargeRequestIDTests: ChargeSuite {
    let setup: ChargeSetup

    init() throws { setup = try ChargeSetup() }

    @Test func aRequestIDBelongsToOneSubscription() throws {
        let other = try shop.subscription(club: try shop.club(), history: [])
        try charge("r-1")
        let refusal = problem { try charge("r-1", of: other) }
        #expect(refusal?.status == 422 && refusal?.slug == "request-id-reused")
        #expect(refusal?.detail.contains("another subscription") == true)
        // Racing for one id, too.
        let slugs = try concurrently(2) { index in
            problem { try charge("shared", of: try self.shop.subscription(club: try self.shop.club(), history: [])) }?
                .slug
        }
        #expect(slugs.filter { $0 == nil }.count == 1 && slugs.contains("request-id-reused"))
        #expect(platform.requests.map(\.requestID).sorted() == ["r-1", "shared"])
    }

    @Test("in doubt, the pinned id is sent also for an id that was used elsewhere")
    func doubtAndAnotherOnesID() throws {
        try charge("of-last-month")
        try shop.run("UPDATE charge SET period = '2001-01'")
        try charge("of-another", of: try shop.subscription(club: try shop.club(), history: []))
        platform.behave { _ in .answer(500) }
        #expect(problem { try charge("r-1") }?.slug == "platform-error")
        #expect(problem { try charge("of-last-month") }?.slug == "platform-error")
        platform.behave { _ in .order }
        #expect(try receipt("of-another").requestID == "r-1")
        #expect(platform.requests.map(\.requestID) == ["of-last-month", "of-another", "r-1", "r-1", "r-1"])
    }

    @Test("after a refusal another one's request id is still another one's", arguments: [402, 429])
    func anotherOnesIDAfterARefusal(status: Int) throws {
        try charge("taken", of: try shop.subscription(club: try shop.club(), history: []))
        platform.behave { _ in .answer(status) }
        #expect(problem { try charge("r-1") } != nil)
        platform.behave { _ in .order }
        #expect(problem { try charge("taken") }?.slug == "request-id-reused")
        #expect(platform.requests.map(\.requestID) == ["taken", "r-1"])
    }

    @Test("where nothing is sent again, last month's doubt is refused by its own id, and this month is charged")
    func manualDoubtOfLastMonth() throws {
        let manual = shop.desk(platform, resend: .manual)
        platform.behave { _ in .cutAfterActing }
        #expect(problem { _ = try manual.charge(subscription: subscription, requestID: "old", .test()) } != nil)
        try shop.run("UPDATE charge SET period = '2001-01'")
        platform.behave { _ in .order }
        let refusal = problem { _ = try manual.charge(subscription: subscription, requestID: "old", .test()) }
        #expect(refusal?.slug == "charge-outcome-unknown")
        #expect(platform.requests.count == 1)
        let charged = try manual.charge(subscription: subscription, requestID: "new", .test())
        #expect(charged.receipt.requestID == "new")
    }

    @Test("where nothing is sent again, the doubt of a deleted subscription is none of the one inserted again")
    func manualDoubtOfADeletedOne() throws {
        let manual = shop.desk(platform, resend: .manual)
        platform.behave { _ in .cutAfterActing }
        #expect(problem { _ = try manual.charge(subscription: subscription, requestID: "old", .test()) } != nil)
        try shop.run("DELETE FROM subscription_status_history WHERE subscription_id = \(subscription)")
        try shop.run("DELETE FROM subscription WHERE id = \(subscription)")
        _ = try shop.subscription(id: subscription, club: club, history: [])
        platform.behave { _ in .order }
        let charged = try manual.charge(subscription: subscription, requestID: "new", .test())
        #expect(charged.receipt.requestID == "new")
    }

    @Test(
        "where nothing is sent again, a charged month's receipt is everybody's answer, whoever asks at the same moment")
    func manualReceiptBesideAnother() throws {
        let manual = shop.desk(platform, resend: .manual)
        platform.behave { _ in .cutAfterActing }
        #expect(problem { _ = try manual.charge(subscription: subscription, requestID: "old", .test()) } != nil)
        try shop.run("UPDATE charge SET period = '2001-01'")
        platform.behave { _ in .order }
        _ = try manual.charge(subscription: subscription, requestID: "new", .test())
        let other = try shop.subscription(club: try shop.club(), history: [])
        let answers = try shop.run(
            """
            SELECT outcome, sent_request
            FROM begin_charges(\([subscription, other]), '{old,first}', 'UTC', '{1,1}', '{f,f}', true, false)
            """
        ).map { try $0.decode(String.self, String?.self) }
        #expect(answers.map(\.0) == ["charged", "begun"] && answers.map(\.1) == ["new", "first"])
    }

    @Test func afterAnOperatorsWordANewIDIsSentWhateverThePlatformSays() throws {
        try doubt("r-1")
        #expect(try decide("not-charged", nil) == "settled")
        platform.behave { _ in .answer(429) }
        let refusal = problem { try charge("r-2") }
        #expect(refusal?.slug == "platform-busy" && refusal?.extensions["outcome"] == nil)
        platform.behave { _ in .order }
        #expect(try receipt("r-3").requestID == "r-3")
    }
}
