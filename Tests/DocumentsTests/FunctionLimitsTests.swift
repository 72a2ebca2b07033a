import TestSupport
import Testing

@testable import Charging
@testable import Manifest

/// functions.yml gives functions the limits that the code counts on.
@Suite struct FunctionLimitsTests {
    @Test("a doubt is given as much of the platform's time as a charge is, and a quarter of its threads")
    func doubtsAndCharges() throws {
        let manifest = try Manifest.load(from: Repository.root + "/functions.yml")
        let charge = try #require(manifest.functions.first { $0.name == "charge" })
        #expect(ChargeDesk.settlingMilliseconds == charge.timeout * 1000)
        #expect(ChargeDesk.settlingConcurrency == charge.reservedConcurrency / 4)
    }
}
