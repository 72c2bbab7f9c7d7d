DROP TABLE revocations;
DROP TABLE device_sessions;
