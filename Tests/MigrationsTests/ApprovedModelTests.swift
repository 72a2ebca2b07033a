import Migrations
import Testing

/// The first revision is the approved model of requirements S1, to the letter.
@Suite struct ApprovedModelTests {
    private func migrated() throws -> Fixture {
        let fixture = try Fixture()
        try fixture.migrator().upgrade(to: Fixture.first)
        return fixture
    }

    @Test func columnsAreTheApprovedOnes() throws {
        let columns = try migrated().column(
            """
            SELECT concat_ws(' ', table_name || '.' || column_name, data_type, character_maximum_length,
                CASE is_nullable WHEN 'NO' THEN 'NOT NULL' END, column_default)
            FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name NOT IN ('alembic_version', 'taproom_migration')
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

    @Test func constraintsAreTheApprovedOnesAndNoMore() throws {
        let constraints = try migrated().column(
            """
            SELECT format('%s: %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace
            AND conrelid NOT IN ('alembic_version'::regclass, 'taproom_migration'::regclass)
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

    @Test func seedRowsAreThereAndTheNextIdFollowsThem() throws {
        let fixture = try migrated()
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
