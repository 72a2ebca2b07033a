/// Comparison of secrets.
public enum Secret {
    /// Whether two texts are equal, in a time that says nothing about where they differ; nothing equals an empty secret.
    public static func equal(_ given: String, _ expected: String) -> Bool {
        let given = Array(given.utf8)
        let expected = Array(expected.utf8)
        var difference = given.count ^ expected.count
        for index in expected.indices {
            difference |= Int(expected[index] ^ (index < given.count ? given[index] : 0))
        }
        return difference == 0 && !expected.isEmpty
    }
}
