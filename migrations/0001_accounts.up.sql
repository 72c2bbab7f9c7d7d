-- One text for Postgres and SQLite: $1 placeholders, no types or functions that only one of them has.
-- Times are milliseconds since 1970-01-01 UTC (columns end in _ms): SQLite would keep a TIMESTAMPTZ as text whose order
-- is not the order of time. In psql: to_timestamp(created_ms / 1000.0).
-- NOT NULL stands on primary keys too, since SQLite takes NULL there.

CREATE TABLE users (
    id UUID NOT NULL PRIMARY KEY,
    -- As the player writes it, and lower-cased for uniqueness.
    username TEXT NOT NULL,
    username_key TEXT NOT NULL UNIQUE,
    email TEXT NULL,
    email_key TEXT NULL UNIQUE,
    -- PHC string; NULL for a guest.
    password_hash TEXT NULL,
    role TEXT NOT NULL DEFAULT 'player' CHECK (role IN ('player', 'admin')),
    -- Rises when every sign-in of the user must end; a session of an older epoch is refused.
    epoch BIGINT NOT NULL DEFAULT 0,
    -- The caller's idempotency id of the registration.
    registration_id UUID NULL UNIQUE,
    -- NULL without a ban.
    ban_reason TEXT NULL,
    -- NULL with a reason: for good.
    ban_until_ms BIGINT NULL,
    -- NULL until the player chose one.
    display_name TEXT NULL,
    avatar_url TEXT NULL,
    locale TEXT NULL,
    -- Rises with each change of the profile, so that two editors cannot overwrite each other unseen.
    profile_version BIGINT NOT NULL DEFAULT 1,
    created_ms BIGINT NOT NULL
);

-- How a guest is known: a secret made by the client, of which only the SHA-256 is kept.
CREATE TABLE device_identities (
    secret_hash BYTEA NOT NULL PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_ms BIGINT NOT NULL
);

CREATE INDEX device_identities_by_user ON device_identities (user_id);

-- Game servers' secrets; only the SHA-256 is kept.
CREATE TABLE server_credentials (
    id UUID NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    secret_hash BYTEA NOT NULL,
    created_ms BIGINT NOT NULL
);
