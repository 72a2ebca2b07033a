-- revision: 4d1c7f20ae95
-- down revision: none
-- message: platform orders

-- migrate: up

-- What POST /ecommerce/order/{request_id} made: one order for a request id, for ever.
CREATE TABLE platform_order (
    request_id varchar(128) PRIMARY KEY,
    id varchar(36) NOT NULL UNIQUE,
    customer_id varchar(36) NOT NULL,
    sku_id integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- migrate: down

DROP TABLE platform_order;
