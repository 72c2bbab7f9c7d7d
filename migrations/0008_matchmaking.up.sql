-- Matches, the seats that they take, ratings, and which worker has which queue.

CREATE TABLE matches (
    match_id UUID NOT NULL PRIMARY KEY,
    game_id UUID NOT NULL,
    queue_key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('made', 'dispatched', 'aborted')),
    -- A muster.log.v1.MatchMade. NULL: it was aborted before it was recorded, and the row keeps it from being.
    body BYTEA NULL,
    -- Set when it is dispatched.
    session_cursor TEXT NULL,
    created_ms BIGINT NOT NULL
);

CREATE INDEX matches_by_queue ON matches (game_id, queue_key, created_ms);
CREATE INDEX matches_undispatched ON matches (game_id, queue_key, created_ms) WHERE state = 'made';

CREATE TABLE match_seats (
    match_id UUID NOT NULL,
    player_id UUID NOT NULL,
    game_id UUID NOT NULL,
    session_id UUID NOT NULL,
    ticket_id UUID NOT NULL,
    waited_ms BIGINT NOT NULL,
    -- When somebody last looked whether the session still runs.
    checked_ms BIGINT NOT NULL,
    -- NULL: it is open, and its player is in no other match of the game.
    released_ms BIGINT NULL,
    PRIMARY KEY (match_id, player_id)
);

-- The fence: whatever happens to tickets, nobody is in two matches.
CREATE UNIQUE INDEX match_seats_open ON match_seats (game_id, player_id) WHERE released_ms IS NULL;
CREATE INDEX match_seats_of_session ON match_seats (session_id) WHERE released_ms IS NULL;
CREATE INDEX match_seats_to_check ON match_seats (checked_ms) WHERE released_ms IS NULL;
CREATE INDEX match_seats_by_ticket ON match_seats (ticket_id);

CREATE TABLE ratings (
    game_id UUID NOT NULL,
    queue_key TEXT NOT NULL,
    player_id UUID NOT NULL,
    skill DOUBLE PRECISION NOT NULL,
    uncertainty DOUBLE PRECISION NOT NULL,
    match_count BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    last_session_id UUID NULL,
    last_skill_change DOUBLE PRECISION NOT NULL,
    -- Rises with every change.
    version BIGINT NOT NULL,
    PRIMARY KEY (game_id, queue_key, player_id)
);

CREATE INDEX ratings_by_player ON ratings (player_id, updated_ms);

-- The sessions whose results have changed ratings: a record of the log may be there twice.
CREATE TABLE rated_sessions (
    session_id UUID NOT NULL PRIMARY KEY
);

-- How far the service has followed the log.
CREATE TABLE matchmaking_positions (
    topic TEXT NOT NULL CHECK (topic IN ('accounts', 'matches')),
    part BIGINT NOT NULL,
    -- The offset to go on from.
    next_offset BIGINT NOT NULL,
    PRIMARY KEY (topic, part)
);

CREATE TABLE matchmaking_workers (
    worker_id UUID NOT NULL PRIMARY KEY,
    -- It counts as alive until then, by the database's clock.
    until_ms BIGINT NOT NULL
);

CREATE TABLE queue_leases (
    game_id UUID NOT NULL,
    queue_key TEXT NOT NULL,
    worker_id UUID NOT NULL,
    -- Rises whenever the lease is taken.
    epoch BIGINT NOT NULL,
    -- The worker has it until then, by the database's clock.
    until_ms BIGINT NOT NULL,
    PRIMARY KEY (game_id, queue_key)
);
