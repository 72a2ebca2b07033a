public import Runtime

extension Deadline {
    /// A deadline that only a fault reaches: two minutes from where it is used, as with all that tests wait for.
    public static var soon: Deadline { .after(milliseconds: 120_000) }
}
