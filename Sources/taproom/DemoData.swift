/// The rows of `taproom demo`. Their keys are computed from names, so a second run finds them there.
enum DemoData {
    static let script = """
        CREATE FUNCTION pg_temp.key(name text) RETURNS text LANGUAGE sql IMMUTABLE RETURN
            overlay(overlay(md5('taproom demo ' || name) PLACING '4' FROM 13) PLACING '8' FROM 17)::uuid::text;

        CREATE FUNCTION pg_temp.days(offset_days numeric) RETURNS timestamp LANGUAGE sql STABLE RETURN
            date_trunc('second', now() AT TIME ZONE 'UTC') + offset_days * interval '1 day';

        -- An outsider may have taken ids that the sequence has not come to. It is walked on, not set: setting it cannot be
        -- rolled back, and beyond the greatest id there may be none left.
        CREATE FUNCTION pg_temp.free_club_id() RETURNS integer LANGUAGE plpgsql AS $$
        DECLARE
            free integer;
        BEGIN
            LOOP
                free := nextval(pg_get_serial_sequence('club', 'id'));
                EXIT WHEN NOT EXISTS (SELECT FROM club WHERE id = free);
            END LOOP;
            RETURN free;
        END $$;

        CREATE TEMPORARY TABLE demo_club (number int, name text, sku int) ON COMMIT DROP;
        INSERT INTO demo_club VALUES
            (1, 'Hophead Society', 4101), (2, 'Barrel-Aged Reserve', 4102), (3, 'Lager & Pils Circle', 4103),
            (4, 'Wild Yeast Collective', 4104), (5, 'Stout Hearts', 4105), (6, 'Winter Warmers', 4106);
        INSERT INTO club (id, name, store_sku)
            SELECT pg_temp.free_club_id(), d.name, d.sku FROM demo_club d
            WHERE NOT EXISTS (SELECT FROM club c WHERE c.name = d.name AND c.store_sku = d.sku) ORDER BY d.number;

        -- 1 active, 2 closed to newcomers, 3 inactive; days before and after today.
        INSERT INTO club_status_history (id, club_id, club_status_id, effect_date, create_date, details)
            SELECT pg_temp.key('club ' || d.number || ' change ' || s.change), min(c.id), s.status,
                pg_temp.days(s.day), pg_temp.days(least(s.day, -1)), s.details
            FROM (VALUES
                (1, 1, 1, -400, 'Founded at the spring tasting'), (2, 1, 1, -380, 'First barrels tapped'),
                (3, 1, 1, -300, 'Open for all'), (3, 2, 2, 30, 'Closes when the lager cellar is full'),
                (4, 1, 1, -250, 'First open fermentation'), (4, 2, 2, -60, 'Full: no new members'),
                (5, 1, 1, -200, 'Dark beers only'), (5, 2, 3, -20, 'Brewery moved away'),
                (6, 1, 1, -350, 'First winter'), (6, 2, 3, -120, 'Summer break'),
                (6, 3, 1, 14, 'Season opens again')
            ) s (club, change, status, day, details)
            JOIN demo_club d ON d.number = s.club
            JOIN club c ON c.name = d.name AND c.store_sku = d.sku
            GROUP BY d.number, s.change, s.status, s.day, s.details
            ON CONFLICT (id) DO NOTHING;

        -- Forty customers with one club each; every third has a second one.
        CREATE TEMPORARY TABLE demo_subscription ON COMMIT DROP AS
            SELECT pg_temp.key('subscription ' || n || '.' || k) AS id, n, k, (n + 2 * k) % 6 + 1 AS club,
                (ARRAY['barley', 'hops', 'malt', 'yeast', 'amber', 'porter', 'saison', 'pilsner'])[n % 8 + 1]
                    AS taste, 20 + (n * 7 + k * 31) % 170 AS age
            FROM generate_series(1, 40) n, generate_series(0, 1) k WHERE k = 0 OR n % 3 = 0;
        INSERT INTO subscription (id, club_id, customer_store_id, create_date)
            SELECT d.id, (SELECT min(c.id) FROM club c JOIN demo_club l USING (name)
                    WHERE l.number = d.club AND c.store_sku = l.sku),
                'demo-' || d.taste || '-' || lpad(d.n::text, 2, '0'), pg_temp.days(-d.age)
            FROM demo_subscription d ON CONFLICT (id) DO NOTHING;

        -- 1 active, 2 cancelled, 3 paused; a pattern for each customer number modulo 8, days from today.
        INSERT INTO subscription_status_history (id, subscription_id, status_id, effect_date, create_date, details)
            SELECT pg_temp.key('subscription ' || d.n || '.' || d.k || ' change ' || s.change), d.id, s.status,
                pg_temp.days(coalesce(s.day, -d.age)), pg_temp.days(coalesce(s.made, -d.age)), s.details
            FROM demo_subscription d
            JOIN (VALUES
                (NULL, 1, 1, NULL::int, NULL::int, 'Welcome pint'),
                (3, 2, 3, -10, -10, 'Travelling, no return planned'),
                (4, 2, 3, -5, -5, 'Dry month'), (4, 3, 1, 25, -5, 'Automatic return schedule'),
                (5, 2, 3, -18, -18, 'Cellar full'), (5, 3, 1, -8, -18, 'Automatic return schedule'),
                (6, 2, 2, -15, -15, 'Moved to wine'),
                (7, 2, 2, 12, -2, 'Cancelled for the end of the period'),
                (0, 2, 3, 7, -1, 'Holiday ahead'), (0, 3, 1, 37, -1, 'Automatic return schedule'),
                (2, 2, 3, -16, -16, 'Too many growlers'), (2, 3, 1, -6, -6, 'Thirsty again')
            ) s (pattern, change, status, day, made, details)
            ON s.pattern IS NULL OR s.pattern = d.n % 8
            ON CONFLICT (id) DO NOTHING;
        """
}
