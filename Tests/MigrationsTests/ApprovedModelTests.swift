import Migrations
import TestSupport
import Testing

/// The first revision is the approved model of requirements S1, to the letter, and no later one changes it.
@Suite struct ApprovedModelTests {
    enum Place: CaseIterable { case first, head }

    private static let tables = """
        ('club', 'club_status', 'club_status_history', 'subscription', 'status', 'subscription_status_history')
        """

    private func migrated(to place: Place) throws -> Fixture {
        switch place {
        case .first: return try migrated()
        case .head:
            let fixture = try Fixture()
            let folder = try MigrationFolder.load(Repository.root + "/migrations/subscriptions")
            try Migrator(connection: fixture.connection, folder: folder).upgrade()
            return fixture
        }
    }

    /// What is looked at: of the first revision everything, later only the approved tables.
    private func isLookedAt(_ table: String, at place: Place) -> String {
        switch place {
        case .first: "\(table) NOT IN ('alembic_version', 'taproom_migration')"
        case .head: "\(table) IN \(Self.tables)"
        }
    }

    private func migrated() throws -> Fixture {
        let fixture = try Fixture()
        try fixture.migrator().upgrade(to: Fixture.first)
        return fixture
    }

    @Test(arguments: Place.allCases)
    func columnsAreTheApprovedOnes(at place: Place) throws {
        let columns = try migrated(to: place).column(
            """
            SELECT concat_ws(' ', table_name || '.' || column_name, data_type, character_maximum_length,
                CASE is_nullable WHEN 'NO' THEN 'NOT NULL' END, column_default)
            FROM information_schema.columns
            WHERE table_schema = 'public' AND \(isLookedAt("table_name", at: place))
            ORDER BY table_name COLLATE "C", ordinal_position
            """)
        #expect(
            columns == [
                "club.id integer NOT NULL nextval('club_id_seq'::regclass)",
                "club.name character varying 128",
                "club.store_sku integer",
                "club_status.id integer NOT NULL nextval('club_status_id_seq'::regclass)",
                "club_status.name character varying 128",
                "club_status_history.id character varying 36 NOT NULL",
                "club_status_history.club_id integer",
                "club_status_history.club_status_id integer",
                "club_status_history.effect_date timestamp without time zone",
                "club_status_history.create_date timestamp without time zone",
                "club_status_history.details character varying 256",
                "status.id integer NOT NULL nextval('status_id_seq'::regclass)",
                "status.name character varying 128",
                "subscription.id character varying 36 NOT NULL",
                "subscription.club_id integer",
                "subscription.customer_store_id character varying 36",
                "subscription.create_date timestamp without time zone",
                "subscription_status_history.id character varying 36 NOT NULL",
                "subscription_status_history.subscription_id character varying 36",
                "subscription_status_history.status_id integer",
                "subscription_status_history.effect_date timestamp without time zone",
                "subscription_status_history.create_date timestamp without time zone",
                "subscription_status_history.details character varying 256",
            ])
    }

    @Test(arguments: Place.allCases)
    func constraintsAreTheApprovedOnesAndNoMore(at place: Place) throws {
        let constraints = try migrated(to: place).column(
            """
            SELECT format('%s: %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace
            AND \(isLookedAt("conrelid::regclass::text", at: place))
            ORDER BY conrelid::regclass::text COLLATE "C", contype DESC, conname COLLATE "C"
            """)
        #expect(
            constraints == [
                "club: PRIMARY KEY (id)",
                "club_status: PRIMARY KEY (id)",
                "club_status_history: PRIMARY KEY (id)",
                "club_status_history: FOREIGN KEY (club_id) REFERENCES club(id) ON DELETE RESTRICT",
                "club_status_history: FOREIGN KEY (club_status_id) REFERENCES club_status(id) ON DELETE RESTRICT",
                "status: PRIMARY KEY (id)",
                "subscription: PRIMARY KEY (id)",
                "subscription: FOREIGN KEY (club_id) REFERENCES club(id) ON DELETE RESTRICT",
                "subscription_status_history: PRIMARY KEY (id)",
                "subscription_status_history: FOREIGN KEY (status_id) REFERENCES status(id) ON DELETE RESTRICT",
                "subscription_status_history: FOREIGN KEY (subscription_id) REFERENCES subscription(id) "
                    + "ON DELETE RESTRICT",
            ])
    }

    @Test(
        "at head no table of ours has a foreign key onto the approved ones, and nothing of ours can refuse their rows")
    func nothingIsInTheWayOfOutsiders() throws {
        let fixture = try migrated(to: .head)
        let obstacles = try fixture.column(
            """
            SELECT conrelid::regclass || ': ' || pg_get_constraintdef(oid) FROM pg_constraint
            WHERE confrelid::regclass::text IN \(Self.tables) AND conrelid::regclass::text NOT IN \(Self.tables)
            UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index
            WHERE indrelid::regclass::text IN \(Self.tables) AND indisunique AND NOT indisprimary
            -- 2 is BEFORE, 64 is INSTEAD OF.
            UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger
            WHERE tgrelid::regclass::text IN \(Self.tables) AND NOT tgisinternal AND tgtype & 66 <> 0
            UNION ALL SELECT ev_class::regclass || ': a rule' FROM pg_rewrite
            WHERE ev_class::regclass::text IN \(Self.tables)
            UNION ALL SELECT relname || ': row security' FROM pg_class
            WHERE relname IN \(Self.tables) AND relrowsecurity
            """)
        #expect(obstacles == [])
    }

    @Test(arguments: Place.allCases) func seedRowsAreThereAndTheNextIdFollowsThem(at place: Place) throws {
        let fixture = try migrated(to: place)
        let rows = "SELECT string_agg(id || ' ' || name, ', ' ORDER BY id) FROM"
        #expect(try fixture.column("\(rows) club_status") == ["1 ATIVO, 2 FECHADO, 3 INATIVO"])
        #expect(try fixture.column("\(rows) status") == ["1 ATIVO, 2 CANCELADO, 3 PAUSADO"])
        #expect(try fixture.column("INSERT INTO club_status (name) VALUES ('x') RETURNING id") == ["4"])
        #expect(try fixture.column("INSERT INTO status (name) VALUES ('x') RETURNING id") == ["4"])
        #expect(try fixture.column("INSERT INTO club (name) VALUES ('x') RETURNING id") == ["1"])
    }

    @Test func versionTableIsAlembics() throws {
        let fixture = try migrated()
        let table = "table_name = 'alembic_version'"
        #expect(
            try fixture.column(
                """
                SELECT concat_ws(' ', column_name, data_type, character_maximum_length, is_nullable, column_default)
                FROM information_schema.columns WHERE \(table)
                """) == ["version_num character varying 32 NO"])
        #expect(
            try fixture.column(
                "SELECT constraint_name FROM information_schema.table_constraints WHERE \(table) "
                    + "AND constraint_type = 'PRIMARY KEY'") == ["alembic_version_pkc"])
        #expect(try fixture.versions() == [Fixture.first])
    }
}
