import Testing

@testable import Customers

@Suite struct EmailAddressTests {
    @Test(
        "what a browser takes",
        arguments: [
            "a@b", "barley@example.com", "Barley.McMalt+beer@Sub.Example.COM", "!#$%&'*+/=?^_`{|}~-.@x.y",
            "..a..@localhost", "a@1.2.3.4", "a@x-y.z", "a@" + String(repeating: "x", count: 63) + ".com",
        ])
    func taken(text: String) {
        #expect(EmailAddress(text)?.text == text)
        #expect(EmailAddress(" \t\n\u{0C}\r\(text)\r\n")?.text == text)
    }

    @Test(
        "what a browser refuses",
        arguments: [
            "", "@", "a", "a@", "@b", "a b@c", "a@b c", "a@@b", "a@b@c", "a@.b", "a@b.", "a@b..c", "a@-b", "a@b-",
            "a@b_c", "(a)@b", "a@[1.2.3.4]", "\"a\"@b", "jo\u{E3}o@example.com", "a@m\u{FC}nchen.de", "a\u{0}@b",
            "a@b\u{0}", "\u{A0}a@b", "a\n@b", "a@" + String(repeating: "x", count: 64),
        ])
    func refused(text: String) { #expect(EmailAddress(text) == nil) }

    @Test func notLongerThan254() {
        let domain = "@" + Array(repeating: String(repeating: "x", count: 60), count: 4).joined(separator: ".")
        let longest = String(repeating: "a", count: 254 - domain.utf8.count) + domain
        #expect(EmailAddress(longest) != nil)
        #expect(EmailAddress("a" + longest) == nil)
    }

    @Test func differentInCaseOnlyIsTheSame() {
        #expect(EmailAddress("Barley@Example.COM")?.key == EmailAddress("bARLEY@eXAMPLE.com")?.key)
        #expect(EmailAddress("barley@example.com")?.key != EmailAddress("barley1@example.com")?.key)
        #expect(EmailAddress.key(" Barley@Example.com\n") == "barley@example.com")
    }
}
