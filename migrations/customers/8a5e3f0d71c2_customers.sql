-- revision: 8a5e3f0d71c2
-- down revision: none
-- message: customers
--
-- What happened to each customer, in order, and what follows from it: the customers as they are now, which are kept in
-- the transaction that appends, and can be made anew from the events alone.

-- migrate: up

-- For the database's owner: the extension is a trusted one.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- Every event of every customer, for ever. Of two who append the same version of a stream one gets it.
CREATE TABLE customer_event (
    stream varchar(36) NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    type varchar(64) NOT NULL,
    data jsonb NOT NULL,
    metadata jsonb NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (stream, version)
);

CREATE FUNCTION refuse_to_change_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are never changed or removed: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'Append an event that says what has changed.';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON customer_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_history();
ALTER TABLE customer_event ENABLE ALWAYS TRIGGER append_only;

-- Who has which email, in small letters; for ever, also once archived.
CREATE TABLE email_claim (
    email varchar(254) COLLATE "C" PRIMARY KEY,
    customer_id varchar(36) NOT NULL UNIQUE
);

-- Counts the customers in the order in which they come.
CREATE SEQUENCE customer_number;

-- The customers as they are now. Its keys are unique indexes, so that a rebuilt table can take its place.
CREATE TABLE customer (
    id varchar(36) NOT NULL,
    number bigint NOT NULL,
    email varchar(254) NOT NULL,
    street varchar(200) NOT NULL,
    city varchar(200) NOT NULL,
    country varchar(200) NOT NULL,
    created_at timestamptz NOT NULL,
    is_archived boolean NOT NULL,
    purchased_at timestamptz,
    version bigint NOT NULL,
    -- No field and no search term holds a line feed, so that no term is found across two fields.
    search_text text NOT NULL GENERATED ALWAYS AS (
        lower(email || chr(10) || street || chr(10) || city || chr(10) || country)) STORED
)
-- Room for the next version of a row beside it, for as many as autovacuum lets come together: so a purchase touches no
-- index, and the rows stay in the order of their numbers, on which the speed of the search depends.
WITH (fillfactor = 80);

-- The characters of a text and its pairs of neighbours: what terms are found by that have no three letters in a row.
CREATE FUNCTION short_grams(p_text text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT string_to_array(p_text, NULL)
        || ARRAY(SELECT substr(p_text, n, 2) FROM generate_series(1, length(p_text) - 1) n)
$$;

-- 32,768 customers in the order of their numbers, archived or not: a search looks into one of these after the other.
CREATE FUNCTION customer_shelf(p_number bigint, p_is_archived boolean) RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY[(p_number / 32768 * 2)::integer + p_is_archived::integer];

CREATE UNIQUE INDEX customer_id ON customer (id);
CREATE UNIQUE INDEX customer_by_number ON customer (number);
CREATE INDEX customer_by_archived ON customer (is_archived, number);
-- Without a list of pending entries, which each look into the index would read as a whole.
CREATE INDEX customer_search ON customer USING gin (customer_shelf(number, is_archived), search_text gin_trgm_ops)
    WITH (fastupdate = off);
CREATE INDEX customer_short_search ON customer USING gin (
    customer_shelf(number, is_archived), short_grams(search_text) COLLATE "C") WITH (fastupdate = off);

-- The numbers of at most so many customers of some shelves, below p_before, whose email or address holds the term,
-- which is in small letters. In no order.
CREATE FUNCTION customers_on_shelves(
    p_term text, p_archived boolean, p_lowest bigint, p_highest bigint, p_before bigint, p_limit integer
) RETURNS bigint[] LANGUAGE plpgsql STABLE SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    shelves integer[] := CASE
        WHEN p_archived IS NULL THEN ARRAY(SELECT n FROM generate_series(p_lowest * 2, p_highest * 2 + 1) n)
        ELSE ARRAY(SELECT n * 2 + p_archived::integer FROM generate_series(p_lowest, p_highest) n) END;
    pattern text;
    grams text[];
BEGIN
    -- "number + 0", so that no other index is taken.
    IF p_term ~ '[[:alnum:]]{3}' THEN
        pattern := '%' || replace(replace(replace(p_term, '\', '\\'), '%', '\%'), '_', '\_') || '%';
        RETURN ARRAY(SELECT c.number FROM customer c
            WHERE customer_shelf(c.number, c.is_archived) && shelves AND c.search_text LIKE pattern
                AND c.number + 0 < p_before LIMIT p_limit);
    END IF;
    grams := CASE WHEN length(p_term) = 1 THEN ARRAY[p_term]
                  ELSE ARRAY(SELECT substr(p_term, n, 2) FROM generate_series(1, length(p_term) - 1) n) END;
    RETURN ARRAY(SELECT c.number FROM customer c
        WHERE customer_shelf(c.number, c.is_archived) && shelves AND short_grams(c.search_text) COLLATE "C" @> grams
            AND strpos(c.search_text, p_term) > 0 AND c.number + 0 < p_before LIMIT p_limit);
END $$;

-- The same of so many of the newest customers below p_before: reads them all, and returns the newest first.
CREATE FUNCTION customers_in_order(
    p_term text, p_archived boolean, p_before bigint, p_read integer, p_limit integer
) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(
        SELECT n.number FROM (
            SELECT c.number, c.search_text, c.is_archived FROM customer c WHERE c.number < p_before
            ORDER BY c.number DESC LIMIT p_read) n
        WHERE strpos(n.search_text, p_term) > 0 AND (p_archived IS NULL OR n.is_archived = p_archived)
        ORDER BY n.number DESC LIMIT p_limit)
$$;

-- The numbers of the customers on a page: at most so many below p_before whose email or address holds the term,
-- whatever its case, the newest first. NULL for p_search, p_archived or p_before leaves that out.
--
-- Some of the newest are read in order first: they fill the page when the term is common. Then the index says shelf by
-- shelf which customers match. So a page costs little whether the term is common or rare, and wherever its matches lie.
CREATE FUNCTION customer_page(p_search text, p_archived boolean, p_before bigint, p_limit integer)
RETURNS SETOF bigint LANGUAGE plpgsql STABLE ROWS 100
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    term text := lower(p_search);
    below bigint := least(p_before, (SELECT max(c.number) + 1 FROM customer c));
    wanted integer := p_limit;
    few integer := greatest(256, p_limit);
    found bigint[];
    highest bigint;
    lowest bigint;
    -- How many shelves are looked into together: more while there is nothing on them, where each look is dear (a long
    -- term) or brings little (the archived are few). What was looked at in vain must not cost more than it saves.
    width integer := 1;
    widest integer := CASE WHEN length(term) >= 10 OR p_archived THEN 4 ELSE 1 END;
BEGIN
    IF term IS NULL AND p_archived IS NULL THEN
        RETURN QUERY SELECT c.number FROM customer c WHERE c.number < below ORDER BY c.number DESC LIMIT wanted;
        RETURN;
    ELSIF term IS NULL THEN
        RETURN QUERY SELECT c.number FROM customer c WHERE c.is_archived = p_archived AND c.number < below
            ORDER BY c.number DESC LIMIT wanted;
        RETURN;
    END IF;
    found := customers_in_order(term, p_archived, below, 1000, wanted);
    IF cardinality(found) = wanted THEN
        RETURN QUERY SELECT n FROM unnest(found) n ORDER BY n DESC;
        RETURN;
    END IF;
    WHILE below > 1 AND wanted > 0 LOOP
        highest := (below - 1) / 32768;
        lowest := greatest(0, highest - width + 1);
        found := customers_on_shelves(term, p_archived, lowest, highest, below, few);
        IF cardinality(found) = few AND lowest < highest THEN
            width := 1;
            CONTINUE;
        ELSIF cardinality(found) = few THEN
            -- Those are any of the many on this shelf, and the newest are wanted.
            found := customers_in_order(term, p_archived, below, 3000, wanted);
            IF cardinality(found) < wanted THEN
                found := customers_on_shelves(term, p_archived, lowest, highest, below, NULL);
            END IF;
        END IF;
        RETURN QUERY SELECT n FROM unnest(found) n ORDER BY n DESC LIMIT wanted;
        wanted := wanted - least(wanted, cardinality(found));
        width := CASE cardinality(found) WHEN 0 THEN least(2 * width, widest) ELSE 1 END;
        below := lowest * 32768;
    END LOOP;
END $$;

-- Events that were decided and wait to be published: written in the transaction that decides, published by the relay.
CREATE TABLE outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    type varchar(64) NOT NULL,
    subject varchar(64) NOT NULL,
    sequence bigint NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    data text NOT NULL,
    traceparent varchar(55),
    correlation_id varchar(128),
    causation_id varchar(128),
    lane smallint NOT NULL GENERATED ALWAYS AS (abs(hashtext(subject) % 8)) STORED,
    state varchar(10) NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'unroutable')),
    settled_at timestamptz
);
CREATE INDEX outbox_waiting ON outbox (lane, position) WHERE state = 'waiting';

-- Who publishes which lane of the outbox, and until when: the events of one subject share a lane, so one relay keeps
-- their order.
CREATE TABLE outbox_lane (
    lane smallint PRIMARY KEY,
    held_by varchar(64),
    held_until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO outbox_lane (lane) SELECT generate_series(0, 7);

-- What consumers have done: an event that comes again does nothing.
CREATE TABLE inbox (
    consumer varchar(64) NOT NULL,
    event_id varchar(128) NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX inbox_received_at ON inbox USING brin (received_at);

-- migrate: down

-- The extension stays: others of this database may use it.
DROP TABLE inbox;
DROP TABLE outbox_lane;
DROP TABLE outbox;
DROP FUNCTION customer_page(text, boolean, bigint, integer);
DROP FUNCTION customers_in_order(text, boolean, bigint, integer, integer);
DROP FUNCTION customers_on_shelves(text, boolean, bigint, bigint, bigint, integer);
DROP TABLE customer;
DROP FUNCTION customer_shelf(bigint, boolean);
DROP FUNCTION short_grams(text);
DROP SEQUENCE customer_number;
DROP TABLE email_claim;
DROP TABLE customer_event;
DROP FUNCTION refuse_to_change_history();
