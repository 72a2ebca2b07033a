/// What records a database's place: Alembic's version table, and ours with the checksums of the files that were applied.
///
/// The statements are text with quoted literals, not bound values, because the offline script needs them so and must
/// do the same as an online run. The literals are revisions, checksums and file names, no input.
enum Bookkeeping {
    static let createVersionTable = """
        CREATE TABLE IF NOT EXISTS alembic_version (
            version_num VARCHAR(32) NOT NULL,
            CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
        )
        """

    static let createChecksumTable = """
        CREATE TABLE IF NOT EXISTS taproom_migration (
            revision varchar(32) PRIMARY KEY,
            file text NOT NULL,
            checksum text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now()
        )
        """

    /// Alembic's own statement for the move; it touches one row when the database is where it should be. From base to
    /// base it touches none.
    static func move(from: String?, to: String?) -> String {
        let row = "WHERE alembic_version.version_num = \(literal(from ?? ""))"
        guard let to else { return "DELETE FROM alembic_version \(row)" }
        if from != nil { return "UPDATE alembic_version SET version_num=\(literal(to)) \(row)" }
        return "INSERT INTO alembic_version (version_num) VALUES (\(literal(to))) RETURNING alembic_version.version_num"
    }

    /// Refuses, in a script that nobody else checks, a database that is not at `revision`; from then on it stays there.
    static func require(_ revision: String?) -> String {
        """
        DO $taproom$
        BEGIN
            LOCK TABLE alembic_version IN SHARE ROW EXCLUSIVE MODE;
            IF ARRAY(SELECT version_num::text FROM alembic_version)
                IS DISTINCT FROM ARRAY[\(revision.map(literal) ?? "")]::text[] THEN
                RAISE EXCEPTION 'this script is for a database at \(revision ?? "<base>"), this one is at %',
                    coalesce((SELECT string_agg(version_num, ', ') FROM alembic_version), '<base>');
            END IF;
        END
        $taproom$
        """
    }

    static func record(_ revision: Revision) -> String {
        """
        INSERT INTO taproom_migration (revision, file, checksum)
        VALUES (\(literal(revision.id)), \(literal(revision.file)), \(literal(revision.checksum)))
        ON CONFLICT (revision) DO UPDATE
        SET file = excluded.file, checksum = excluded.checksum, applied_at = excluded.applied_at
        """
    }

    static func forget(_ revision: Revision) -> String {
        "DELETE FROM taproom_migration WHERE revision = \(literal(revision.id))"
    }

    static let forgetVersions = "DELETE FROM alembic_version"
    static let forgetChecksums = "DELETE FROM taproom_migration"

    private static func literal(_ text: String) -> String {
        "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'"
    }
}
