extension StreamListener {
    /// Takes a session as a PostgreSQL server that lets everybody in, and reads its first statement, which it does not
    /// answer: the session is in use until the test ends it.
    public func acceptDatabaseSession() throws -> StreamSocket {
        guard let session = accept() else { throw BrokenMessage("nobody came") }
        while true {
            let head = try session.receive()
            // Who asks first for TLS (80877103), or for Kerberos (80877104), hears that there is none.
            guard head.count == 8, head[4..<7] == [0x04, 0xD2, 0x16] else { break }
            try session.send("N")
        }
        // AuthenticationOk and ReadyForQuery.
        try session.send([UInt8(ascii: "R"), 0, 0, 0, 8, 0, 0, 0, 0, UInt8(ascii: "Z"), 0, 0, 0, 5, UInt8(ascii: "I")])
        guard try !session.receive().isEmpty else { throw BrokenMessage("no statement came") }
        return session
    }
}
