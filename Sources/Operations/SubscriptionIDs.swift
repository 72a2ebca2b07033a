/// A set of subscription ids, told apart by their bytes as PostgreSQL does: a set of `String` takes canonically equivalent
/// texts for one.
public struct SubscriptionIDs: Sendable, Equatable, ExpressibleByArrayLiteral {
    private let ids: Set<[UInt8]>

    init(_ ids: [String]) { self.ids = Set(ids.map { Array($0.utf8) }) }

    public init(arrayLiteral ids: String...) { self.init(ids) }

    public var isEmpty: Bool { ids.isEmpty }

    public func contains(_ id: String) -> Bool { ids.contains(Array(id.utf8)) }
}
