-- What migrations/customers/ makes of an empty database. Written by "make schema".

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;

COMMENT ON EXTENSION pg_trgm IS 'text similarity measurement and index searching based on trigrams';

CREATE FUNCTION public.customer_page(p_search text, p_archived boolean, p_before bigint, p_limit integer) RETURNS SETOF bigint
    LANGUAGE plpgsql STABLE ROWS 100
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

CREATE FUNCTION public.customer_shelf(p_number bigint, p_is_archived boolean) RETURNS integer[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY[((((p_number / 32768) * 2))::integer + (p_is_archived)::integer)];

CREATE FUNCTION public.customers_in_order(p_term text, p_archived boolean, p_before bigint, p_read integer, p_limit integer) RETURNS bigint[]
    LANGUAGE sql STABLE
    AS $$
    SELECT ARRAY(
        SELECT n.number FROM (
            SELECT c.number, c.search_text, c.is_archived FROM customer c WHERE c.number < p_before
            ORDER BY c.number DESC LIMIT p_read) n
        WHERE strpos(n.search_text, p_term) > 0 AND (p_archived IS NULL OR n.is_archived = p_archived)
        ORDER BY n.number DESC LIMIT p_limit)
$$;

CREATE FUNCTION public.customers_on_shelves(p_term text, p_archived boolean, p_lowest bigint, p_highest bigint, p_before bigint, p_limit integer) RETURNS bigint[]
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

CREATE FUNCTION public.refuse_to_change_history() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'events are never changed: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'Append an event that says what has changed.';
END $$;

CREATE FUNCTION public.short_grams(p_text text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
    SELECT string_to_array(p_text, NULL)
        || ARRAY(SELECT substr(p_text, n, 2) FROM generate_series(1, length(p_text) - 1) n)
$$;

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE public.customer (
    id character varying(36) NOT NULL,
    number bigint NOT NULL,
    email character varying(254) NOT NULL,
    street character varying(200) NOT NULL,
    city character varying(200) NOT NULL,
    country character varying(200) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    is_archived boolean NOT NULL,
    purchased_at timestamp with time zone,
    version bigint NOT NULL,
    search_text text GENERATED ALWAYS AS (lower((((((((email)::text || chr(10)) || (street)::text) || chr(10)) || (city)::text) || chr(10)) || (country)::text))) STORED NOT NULL
)
WITH (fillfactor='80');

CREATE TABLE public.customer_event (
    stream character varying(36) NOT NULL,
    version bigint NOT NULL,
    type character varying(64) NOT NULL,
    data jsonb NOT NULL,
    metadata jsonb NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    CONSTRAINT customer_event_version_check CHECK ((version > 0))
);

CREATE SEQUENCE public.customer_number
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.email_claim (
    email character varying(254) NOT NULL COLLATE pg_catalog."C",
    customer_id character varying(36) NOT NULL
);

CREATE TABLE public.inbox (
    consumer character varying(64) NOT NULL,
    event_id character varying(128) NOT NULL,
    received_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE public.outbox (
    "position" bigint NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    type character varying(64) NOT NULL,
    subject character varying(64) NOT NULL,
    sequence bigint NOT NULL,
    occurred_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    data text NOT NULL,
    traceparent character varying(55),
    correlation_id character varying(128),
    causation_id character varying(128),
    lane smallint GENERATED ALWAYS AS (abs((hashtext((subject)::text) % 8))) STORED NOT NULL,
    state character varying(10) DEFAULT 'waiting'::character varying NOT NULL,
    settled_at timestamp with time zone,
    CONSTRAINT outbox_state_check CHECK (((state)::text = ANY ((ARRAY['waiting'::character varying, 'sent'::character varying, 'unroutable'::character varying])::text[])))
);

CREATE TABLE public.outbox_lane (
    lane smallint NOT NULL,
    held_by character varying(64),
    held_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL
);

ALTER TABLE public.outbox ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.outbox_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.taproom_migration (
    revision character varying(32) NOT NULL,
    file text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY public.customer_event
    ADD CONSTRAINT customer_event_pkey PRIMARY KEY (stream, version);

ALTER TABLE ONLY public.email_claim
    ADD CONSTRAINT email_claim_customer_id_key UNIQUE (customer_id);

ALTER TABLE ONLY public.email_claim
    ADD CONSTRAINT email_claim_pkey PRIMARY KEY (email);

ALTER TABLE ONLY public.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY public.outbox_lane
    ADD CONSTRAINT outbox_lane_pkey PRIMARY KEY (lane);

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY public.taproom_migration
    ADD CONSTRAINT taproom_migration_pkey PRIMARY KEY (revision);

CREATE INDEX customer_by_archived ON public.customer USING btree (is_archived, number);

CREATE UNIQUE INDEX customer_by_number ON public.customer USING btree (number);

CREATE UNIQUE INDEX customer_id ON public.customer USING btree (id);

CREATE INDEX customer_search ON public.customer USING gin (public.customer_shelf(number, is_archived), search_text public.gin_trgm_ops) WITH (fastupdate=off);

CREATE INDEX customer_short_search ON public.customer USING gin (public.customer_shelf(number, is_archived), public.short_grams(search_text) COLLATE "C") WITH (fastupdate=off);

CREATE INDEX inbox_received_at ON public.inbox USING btree (received_at);

CREATE INDEX outbox_unroutable ON public.outbox USING btree ("position") WHERE ((state)::text = 'unroutable'::text);

CREATE INDEX outbox_waiting ON public.outbox USING btree (lane, "position") WHERE ((state)::text = 'waiting'::text);

CREATE TRIGGER unchanged BEFORE UPDATE ON public.customer_event FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_to_change_history();

ALTER TABLE public.customer_event ENABLE ALWAYS TRIGGER unchanged;
