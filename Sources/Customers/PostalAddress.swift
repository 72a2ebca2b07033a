import Runtime

/// Where a customer lives: three texts of one line, 1 to 200 characters each.
public struct PostalAddress: Sendable, Equatable, Codable {
    public let street: String
    public let city: String
    public let country: String

    public init(street: String, city: String, country: String) {
        self.street = street
        self.city = city
        self.country = country
    }

    /// Equal byte for byte: an address that differs in nothing but its normalisation is another one.
    public static func == (left: PostalAddress, right: PostalAddress) -> Bool {
        left.street.hasSameBytes(as: right.street) && left.city.hasSameBytes(as: right.city)
            && left.country.hasSameBytes(as: right.country)
    }
}
