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
        // A line feed parts what is searched.
        guard text.isOneLine else {
            fault(pointer, "\(name) must hold no control character, such as NUL or a line break.")
            return nil
        }
        return text
    }
}
