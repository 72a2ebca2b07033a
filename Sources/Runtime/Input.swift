/// One member of a JSON body, decoded without throwing, so that every wrong member of a body can be named at once.
public struct Field<Value: Decodable & Sendable>: Decodable, Sendable {
    enum State: Sendable {
        /// Absent, or null, which means the same.
        case absent
        case value(Value)
        case wrong
    }

    let state: State

    init(_ state: State) { self.state = state }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        state = container.decodeNil() ? .absent : (try? container.decode(Value.self)).map { .value($0) } ?? .wrong
    }
}

extension KeyedDecodingContainer {
    /// What a synthesised `init(from:)` calls for a `Field`: an absent member is not an error here.
    public func decode<Value>(_ type: Field<Value>.Type, forKey key: Key) throws -> Field<Value> {
        guard contains(key) else { return Field(.absent) }
        return try Field(from: superDecoder(forKey: key))
    }
}

extension HTTPEvent {
    /// The body as JSON.
    /// - Throws: 415 when Content-Type says that it is something else (none at all is taken as JSON), 400 when it is
    ///   not a JSON value of that shape.
    public func json<Body: Decodable>(_ type: Body.Type) throws(Problem) -> Body {
        if let type = header("content-type") {
            let media = type.prefix { $0 != ";" }.lowercased().filter { $0 != " " }
            guard media == "application/json" || media.hasSuffix("+json") else {
                throw Problem(
                    "unsupported-media-type", status: 415, title: "Unsupported media type",
                    detail: "The body is announced as “\(media)”: send JSON with Content-Type: application/json.")
            }
        }
        guard !body.isEmpty else {
            throw .badRequest([.init(pointer: "", detail: "The body is empty: send a JSON object.")])
        }
        if let place = JSONSyntax.fault(in: body) {
            throw .badRequest([
                .init(
                    pointer: "",
                    detail: "The body \(JSONSyntax.complaint): see byte \(place), counted from 0.")
            ])
        }
        do {
            return try JSON.decode(type, from: body)
        } catch {
            let fault = DecodingFault(error)
            throw .badRequest([.init(pointer: fault.pointer, detail: fault.sentence)])
        }
    }
}

/// Collects what is wrong with the input, to refuse it with every fault at once.
public struct InputCheck: ~Copyable {
    private var faults: [Problem.Fault] = []

    public init() {}

    /// Records a fault at a JSON pointer, or at `/path/NAME`, `/query/NAME`.
    public mutating func fault(_ pointer: String, _ detail: String) {
        faults.append(.init(pointer: pointer, detail: detail))
    }

    /// - Throws: 400 with every fault recorded so far, if any.
    public func finish() throws(Problem) {
        if !faults.isEmpty { throw .badRequest(faults) }
    }

    /// The values that must be there, once every fault is known to be absent.
    ///
    /// ```swift
    /// let (name, size) = try check.finish(check.text(…), check.required(…))
    /// ```
    /// - Throws: 400 with every fault recorded so far, if any.
    public func finish<each Value>(_ values: repeat (each Value)?) throws(Problem) -> (repeat each Value) {
        try finish()
        do {
            return (repeat try present(each values))
        } catch {
            // A required value is missing only where its fault is on record.
            throw .internalError(debug: "a required value is missing without a fault")
        }
    }

    private func present<Value>(_ value: Value?) throws -> Value {
        guard let value else { throw Missing() }
        return value
    }

    private struct Missing: Error {}

    /// A member that must be there. `expectation` ends the sentence "NAME must be …".
    public mutating func required<Value>(_ field: Field<Value>, _ pointer: String, _ expectation: String) -> Value? {
        if case .absent = field.state {
            fault(pointer, "\(pointer.dropFirst()) is required: it must be \(expectation).")
            return nil
        }
        return optional(field, pointer, expectation)
    }

    /// A member that may be absent or null.
    public mutating func optional<Value>(_ field: Field<Value>, _ pointer: String, _ expectation: String) -> Value? {
        switch field.state {
        case .absent: return nil
        case .value(let value): return value
        case .wrong:
            fault(pointer, "\(pointer.dropFirst()) must be \(expectation).")
            return nil
        }
    }

    /// A whole number that must be there and lie in `range`.
    public mutating func choice(
        _ field: Field<Int>, _ pointer: String, of range: ClosedRange<Int>, _ expectation: String
    ) -> Int? {
        guard let value = required(field, pointer, expectation) else { return nil }
        guard range.contains(value) else {
            fault(pointer, "\(pointer.dropFirst()) must be \(expectation).")
            return nil
        }
        return value
    }

    /// `limit` of a list, as the query gives it: a whole number in `range`.
    public mutating func limit(_ text: String, in range: ClosedRange<Int>) -> Int? {
        guard let limit = Int(text), range.contains(limit) else {
            fault("/query/limit", "limit must be a whole number from \(range.lowerBound) to \(range.upperBound).")
            return nil
        }
        return limit
    }

    /// A text that must be there, of so many characters, without NUL, which PostgreSQL cannot keep.
    public mutating func text(_ field: Field<String>, _ pointer: String, characters: ClosedRange<Int>) -> String? {
        let expectation = "a text of \(characters.lowerBound) to \(characters.upperBound) characters"
        return required(field, pointer, expectation).flatMap { checked($0, pointer, characters) }
    }

    /// As `text`, for a member that may be absent.
    public mutating func optionalText(
        _ field: Field<String>, _ pointer: String, characters: ClosedRange<Int>
    ) -> String? {
        let expectation = "a text of \(characters.lowerBound) to \(characters.upperBound) characters"
        return optional(field, pointer, expectation).flatMap { checked($0, pointer, characters) }
    }

    private mutating func checked(_ text: String, _ pointer: String, _ characters: ClosedRange<Int>) -> String? {
        let name = pointer.dropFirst()
        if text.utf8.contains(0) {
            fault(pointer, "\(name) must hold no NUL character.")
            return nil
        }
        // As varchar counts: code points.
        let count = text.unicodeScalars.count
        guard characters.contains(count) else {
            fault(
                pointer,
                "\(name) has \(count) characters; it must have \(characters.lowerBound) to \(characters.upperBound).")
            return nil
        }
        return text
    }
}

/// What a failed JSON decoding says to the one who sent the text.
package struct DecodingFault {
    let pointer: String
    package let sentence: String

    package init(_ error: any Error) {
        var path: [any CodingKey] = []
        switch error as? DecodingError {
        case .typeMismatch(let type, let context):
            path = context.codingPath
            sentence = path.isEmpty ? "The body must be a JSON object." : "\(Self.name(path)) must be of type \(type)."
        case .valueNotFound(_, let context):
            path = context.codingPath
            sentence =
                path.isEmpty ? "The body must be a JSON object, not null." : "\(Self.name(path)) must not be null."
        case .keyNotFound(let key, let context):
            path = context.codingPath + [key]
            sentence = "\(Self.name(path)) is required."
        case .dataCorrupted(let context) where !context.codingPath.isEmpty:
            path = context.codingPath
            sentence = context.debugDescription
        default:
            sentence = "The body is not valid JSON in UTF-8."
        }
        pointer = path.map { "/" + ($0.intValue.map(String.init) ?? $0.stringValue) }.joined()
    }

    /// A member with those that it is in, such as `order.id`.
    private static func name(_ path: [any CodingKey]) -> String { path.map(\.stringValue).joined(separator: ".") }
}
