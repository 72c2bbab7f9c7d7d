-- Only the embedded store has these tables: with real stores they are in Redis.

-- All device sessions of one user, as the auth service writes them; `version` rises with each change.
CREATE TABLE device_sessions (
    user_id UUID NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    body TEXT NOT NULL,
    expires_ms BIGINT NOT NULL
);

CREATE INDEX device_sessions_by_expiry ON device_sessions (expires_ms);

CREATE TABLE revocations (
    session_id UUID NOT NULL PRIMARY KEY,
    at_ms BIGINT NOT NULL
);

CREATE INDEX revocations_by_time ON revocations (at_ms);
