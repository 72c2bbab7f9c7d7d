DROP TABLE log_records;
DROP TABLE log_partitions;
