/// The SQLSTATEs that decisions depend on, by PostgreSQL's condition names (appendix "PostgreSQL Error Codes" of its
/// manual).
public enum SQLState {
    public static let featureNotSupported = "0A000"
    public static let characterNotInRepertoire = "22021"
    public static let invalidParameterValue = "22023"
    public static let foreignKeyViolation = "23503"
    public static let readOnlySQLTransaction = "25006"
    public static let invalidSQLStatementName = "26000"
    public static let serializationFailure = "40001"
    public static let deadlockDetected = "40P01"
    public static let insufficientPrivilege = "42501"
    public static let undefinedTable = "42P01"
    public static let duplicateTable = "42P07"
    public static let diskFull = "53100"
    public static let outOfMemory = "53200"
    public static let tooManyConnections = "53300"
    public static let configurationLimitExceeded = "53400"
    public static let lockNotAvailable = "55P03"
    public static let queryCanceled = "57014"
    public static let adminShutdown = "57P01"
    public static let crashShutdown = "57P02"
    public static let cannotConnectNow = "57P03"

    /// What all states of a class begin with.
    public enum Class {
        public static let connectionException = "08"
        public static let syntaxErrorOrAccessRuleViolation = "42"
        public static let insufficientResources = "53"
    }
}
