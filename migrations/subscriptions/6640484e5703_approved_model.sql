-- revision: 6640484e5703
-- down revision: none
-- message: approved model

-- The data model other people's scripts already use: no default, UNIQUE, CHECK or foreign key beyond these.

-- migrate: up

CREATE TABLE club (
    id serial PRIMARY KEY,
    name varchar(128),
    store_sku integer
);

CREATE TABLE club_status (
    id serial PRIMARY KEY,
    name varchar(128)
);

CREATE TABLE club_status_history (
    id varchar(36) PRIMARY KEY,
    club_id integer REFERENCES club (id) ON DELETE RESTRICT,
    club_status_id integer REFERENCES club_status (id) ON DELETE RESTRICT,
    effect_date timestamp without time zone,
    create_date timestamp without time zone,
    details varchar(256)
);

CREATE TABLE subscription (
    id varchar(36) PRIMARY KEY,
    club_id integer REFERENCES club (id) ON DELETE RESTRICT,
    customer_store_id varchar(36),
    create_date timestamp without time zone
);

CREATE TABLE status (
    id serial PRIMARY KEY,
    name varchar(128)
);

CREATE TABLE subscription_status_history (
    id varchar(36) PRIMARY KEY,
    subscription_id varchar(36) REFERENCES subscription (id) ON DELETE RESTRICT,
    status_id integer REFERENCES status (id) ON DELETE RESTRICT,
    effect_date timestamp without time zone,
    create_date timestamp without time zone,
    details varchar(256)
);

INSERT INTO club_status (id, name) VALUES (1, 'ATIVO'), (2, 'FECHADO'), (3, 'INATIVO');
INSERT INTO status (id, name) VALUES (1, 'ATIVO'), (2, 'CANCELADO'), (3, 'PAUSADO');

-- The rows above brought their own ids, which the sequences have not seen.
SELECT setval(pg_get_serial_sequence('club_status', 'id'), 3);
SELECT setval(pg_get_serial_sequence('status', 'id'), 3);

-- migrate: down

DROP TABLE subscription_status_history;
DROP TABLE status;
DROP TABLE subscription;
DROP TABLE club_status_history;
DROP TABLE club_status;
DROP TABLE club;
