-- Only the embedded store has these tables: with real stores the log is in Kafka.

-- Where each partition ends: it outlives the records, so no offset is used twice.
CREATE TABLE log_partitions (
    topic TEXT NOT NULL,
    number BIGINT NOT NULL,
    end_offset BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    PRIMARY KEY (topic, number)
) WITHOUT ROWID;

CREATE TABLE log_records (
    topic TEXT NOT NULL,
    partition_number BIGINT NOT NULL,
    record_offset BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (topic, partition_number, record_offset)
) WITHOUT ROWID;
