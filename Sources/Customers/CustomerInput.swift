public import Runtime

/// An address as a request brings it, decoded without throwing.
public struct AddressInput: Decodable, Sendable {
    let street: Field<String>
    let city: Field<String>
    let country: Field<String>
}

extension InputCheck {
    /// An email that must be there.
    public mutating func email(_ field: Field<String>, _ pointer: String) -> EmailAddress? {
        guard let text = required(field, pointer, EmailAddress.expectation) else { return nil }
        let email = EmailAddress(text)
        if email == nil { fault(pointer, "\(pointer.dropFirst()) must be \(EmailAddress.expectation).") }
        return email
    }

    /// An address that must be there.
    public mutating func address(_ field: Field<AddressInput>, _ pointer: String) -> PostalAddress? {
        required(field, pointer, "an object with street, city and country").flatMap { address($0, pointer) }
    }

    /// - Parameter pointer: of the object that holds the members; empty for the body itself.
    public mutating func address(_ input: AddressInput, _ pointer: String = "") -> PostalAddress? {
        let street = line(input.street, pointer + "/street")
        let city = line(input.city, pointer + "/city")
        let country = line(input.country, pointer + "/country")
        guard let street, let city, let country else { return nil }
        return PostalAddress(street: street, city: city, country: country)
    }

    /// 1 to 200 characters once the white space around them is left out.
    private mutating func line(_ field: Field<String>, _ pointer: String) -> String? {
        let name = pointer.dropFirst()
        guard let given = required(field, pointer, "a text of 1 to 200 characters") else { return nil }
        let text = given.trimmingWhitespace()
        // As varchar counts: code points.
        let count = text.unicodeScalars.count
        guard (1...200).contains(count) else {
            fault(pointer, "\(name) has \(count) characters without the white space around; it must have 1 to 200.")
            return nil
        }
        guard text.isOneLine else {
            fault(pointer, "\(name) must hold no control character, such as NUL or a line break.")
            return nil
        }
        return text
    }
}

extension HTTPEvent {
    /// The selection and paging of a list: `search`, `archived`, `limit` (default 20) and `after`.
    /// - Throws: 400 with everything that is wrong.
    public func customerList() throws(Problem) -> (
        selection: CustomerDirectory.Selection, limit: Int, after: String?
    ) {
        var check = InputCheck()
        let search = query("search")?.trimmingWhitespace()
        if let search, search.unicodeScalars.count > 254 || !search.isOneLine {
            check.fault("/query/search", "search must be a text of at most 254 characters without control characters.")
        }
        let archived = query("archived").flatMap { $0.isEmpty ? nil : $0 }
        if let archived, !["true", "false"].contains(archived) {
            check.fault("/query/archived", "archived must be true or false.")
        }
        let limit = Int(query("limit") ?? "20").flatMap { (1...100).contains($0) ? $0 : nil }
        if limit == nil { check.fault("/query/limit", "limit must be a whole number from 1 to 100.") }
        let after = query("after")
        if let after, after.utf8.count > 36 || after.utf8.contains(0) {
            check.fault("/query/after", "after is no place in this list: take it from the Link of the page before.")
        }
        let selection = CustomerDirectory.Selection(
            search: search.flatMap { $0.isEmpty ? nil : $0 }, isArchived: archived.map { $0 == "true" })
        return (selection, try check.finish(limit), after)
    }
}

extension String {
    fileprivate func trimmingWhitespace() -> String {
        let rest = unicodeScalars.drop { $0.properties.isWhitespace }
        guard let last = rest.lastIndex(where: { !$0.properties.isWhitespace }) else { return "" }
        return String(String.UnicodeScalarView(rest[...last]))
    }

    /// Without control characters: neither NUL, which PostgreSQL cannot keep, nor the line feed that parts what is
    /// searched.
    fileprivate var isOneLine: Bool { unicodeScalars.allSatisfy { $0.properties.generalCategory != .control } }
}
