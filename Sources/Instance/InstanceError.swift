/// What stands in the way of an instance, in words for the person who started it; the fix is part of them.
public struct InstanceError: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
