/// What keeps an operation from being done, in words for the operator; the fix is part of them.
public struct OperationError: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }

    /// An id that names no charge.
    public static func unknownCharge(_ id: String) -> OperationError {
        OperationError("no charge and no subscription with charges has the id “\(id)”: see taproom charges list")
    }
}
