-- The history of scores and of matches: what boards are made of.

-- Boards that have had scores.
CREATE TABLE score_boards (
    -- Stands for the board in the other tables.
    board BIGINT NOT NULL PRIMARY KEY,
    game_id UUID NOT NULL,
    board_key TEXT NOT NULL,
    -- The offset of the last record of the log that was worked on; -1 if none was.
    head_offset BIGINT NOT NULL,
    -- The time of it, as it counts.
    head_ms BIGINT NOT NULL,
    -- How many players were erased from it.
    erasures BIGINT NOT NULL,
    UNIQUE (game_id, board_key)
);

CREATE TABLE scores (
    board BIGINT NOT NULL,
    -- The offset of its record in the partition of the board.
    log_offset BIGINT NOT NULL,
    player UUID NOT NULL,
    submission UUID NOT NULL,
    value BIGINT NOT NULL,
    session_id UUID NULL,
    -- A muster.leaderboard.v1.Submission of which only the attributes are set.
    attributes BYTEA NOT NULL,
    -- SHA-256 of its content.
    content_hash BYTEA NOT NULL,
    -- The log's time, but never before that of the board's score before.
    time_ms BIGINT NOT NULL,
    -- NULL: it was accepted.
    refusal TEXT NULL CHECK (refusal IN ('sum_overflow', 'board_changed', 'account_gone')),
    -- Where the player stands after it in each period that the score is in, one after the other: a byte for the kind of
    -- period (0 all time, 1 daily, 2 weekly, 3 monthly; 128 more if there was a value before), then whole numbers of eight
    -- bytes, the highest first: the beginning of the period in milliseconds (not for all time), the value, the offset at
    -- which it was reached, and the value before if there was one.
    standings BYTEA NOT NULL,
    PRIMARY KEY (board, log_offset)
);

-- The submission first: clients that make UUIDs of the seventh version write to one end of it.
CREATE UNIQUE INDEX scores_by_submission ON scores (submission, player, board);
CREATE INDEX scores_by_player ON scores (player, board, log_offset);

-- The periods of boards that have scores.
CREATE TABLE score_periods (
    board BIGINT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('all_time', 'daily', 'weekly', 'monthly')),
    -- 0 for all time.
    start_ms BIGINT NOT NULL,
    -- NULL for all time.
    end_ms BIGINT NULL,
    -- The offset of its first accepted score.
    first_offset BIGINT NOT NULL,
    PRIMARY KEY (board, kind, start_ms)
);

-- Players whose accounts were deleted: nothing counts for them any more.
CREATE TABLE gone_players (
    player UUID NOT NULL PRIMARY KEY,
    gone_ms BIGINT NOT NULL
);

-- Who was erased from a board, numbered from 1 for each board.
CREATE TABLE score_erasures (
    board BIGINT NOT NULL,
    number BIGINT NOT NULL,
    player UUID NOT NULL,
    PRIMARY KEY (board, number),
    UNIQUE (player, board)
);

-- Sessions that have ended.
CREATE TABLE finished_matches (
    session_id UUID NOT NULL PRIMARY KEY,
    game_id UUID NOT NULL,
    -- Empty for sessions made by hand.
    queue_key TEXT NOT NULL,
    ended_ms BIGINT NOT NULL,
    -- A muster.leaderboard.v1.MatchRecord without what the columns say.
    body BYTEA NOT NULL,
    player_count BIGINT NOT NULL
);

CREATE TABLE match_results (
    session_id UUID NOT NULL,
    -- From 0, as the results were given.
    number BIGINT NOT NULL,
    -- NULL: the account was deleted.
    player UUID NULL,
    placement BIGINT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('won', 'lost', 'drawn')),
    left_early BOOLEAN NOT NULL,
    -- A muster.game.v1.PlayerResult without what the columns say.
    body BYTEA NOT NULL,
    -- Those of the match, to list a player's.
    game_id UUID NOT NULL,
    queue_key TEXT NOT NULL,
    ended_ms BIGINT NOT NULL,
    PRIMARY KEY (session_id, number)
);

CREATE INDEX match_results_by_player ON match_results (player, ended_ms, session_id);
CREATE INDEX match_results_by_game ON match_results (player, game_id, ended_ms, session_id);

-- What players have played, by queue.
CREATE TABLE player_stats (
    player UUID NOT NULL,
    game_id UUID NOT NULL,
    queue_key TEXT NOT NULL,
    games BIGINT NOT NULL,
    wins BIGINT NOT NULL,
    losses BIGINT NOT NULL,
    draws BIGINT NOT NULL,
    left_early BIGINT NOT NULL,
    play_ms BIGINT NOT NULL,
    last_ended_ms BIGINT NOT NULL,
    PRIMARY KEY (player, game_id, queue_key)
);

-- How far the leaderboard service has followed the log.
CREATE TABLE leaderboard_positions (
    topic TEXT NOT NULL,
    part BIGINT NOT NULL,
    -- The offset to go on from.
    next_offset BIGINT NOT NULL,
    PRIMARY KEY (topic, part)
);
