-- What happened to accounts and is not in the log yet: written with the change, deleted once the log has it.

CREATE TABLE audit_outbox (
    -- Rows of one account are written under the lock of what they tell of, so this is their order. Postgres counts by
    -- itself; SQLite does not know the type, and its INSERT says the number.
    seq BIGSERIAL NOT NULL UNIQUE,
    record_id UUID NOT NULL PRIMARY KEY,
    -- A muster.log.v1.Record.
    record BYTEA NOT NULL
);
