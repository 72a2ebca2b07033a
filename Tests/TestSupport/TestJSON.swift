import FoundationEssentials

/// Any JSON value, to look into answers and log lines.
public enum TestJSON: Decodable, Sendable, Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([TestJSON])
    case object([String: TestJSON])

    /// - Throws: when the bytes are not one JSON value.
    public init(parsing bytes: [UInt8]) throws {
        self = try JSONDecoder().decode(TestJSON.self, from: Data(bytes))
    }

    public init(parsing text: String) throws { try self.init(parsing: Array(text.utf8)) }

    public init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let bool = try? value.decode(Bool.self) {
            self = .bool(bool)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else if let string = try? value.decode(String.self) {
            self = .string(string)
        } else if let array = try? value.decode([TestJSON].self) {
            self = .array(array)
        } else {
            self = .object(try value.decode([String: TestJSON].self))
        }
    }

    /// The member of an object; `nil` when there is none, or this is no object.
    public subscript(member: String) -> TestJSON? {
        guard case .object(let members) = self else { return nil }
        return members[member]
    }

    public var string: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    public var integer: Int? {
        guard case .number(let number) = self else { return nil }
        return Int(exactly: number)
    }

    /// Empty for anything but an array.
    public var elements: [TestJSON] {
        guard case .array(let elements) = self else { return [] }
        return elements
    }
}
