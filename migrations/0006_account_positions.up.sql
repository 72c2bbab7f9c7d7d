-- How far the game service has followed the log of accounts.

CREATE TABLE game_account_positions (
    part BIGINT NOT NULL PRIMARY KEY,
    -- The offset to go on from.
    next_offset BIGINT NOT NULL
);
