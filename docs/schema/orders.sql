-- What migrations/orders/ makes of an empty database. Written by "make schema".

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE public.platform_order (
    request_id character varying(128) NOT NULL,
    id character varying(36) NOT NULL,
    customer_id character varying(36) NOT NULL,
    sku_id integer NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE public.taproom_migration (
    revision character varying(32) NOT NULL,
    file text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY public.platform_order
    ADD CONSTRAINT platform_order_id_key UNIQUE (id);

ALTER TABLE ONLY public.platform_order
    ADD CONSTRAINT platform_order_pkey PRIMARY KEY (request_id);

ALTER TABLE ONLY public.taproom_migration
    ADD CONSTRAINT taproom_migration_pkey PRIMARY KEY (revision);
