-- The catalogue of games, their definitions, and how much they are played.

CREATE TABLE games (
    id UUID NOT NULL PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    short_description TEXT NOT NULL,
    long_description TEXT NOT NULL,
    image_url TEXT NULL,
    -- A muster.game.v1.Game of which only the attributes are set.
    attributes BYTEA NOT NULL,
    data BYTEA NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'archived')),
    -- The newest revision in definitions.
    definition_revision BIGINT NOT NULL,
    -- Rises with every change.
    version BIGINT NOT NULL,
    -- What catalogue_clock said when the definition or the state was last changed.
    changed BIGINT NOT NULL,
    -- What it was created with, to know the repetition of the call by: a muster.game.v1.Game.
    created_as BYTEA NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);

CREATE INDEX games_by_change ON games (changed);

-- Every revision that there ever was; they never change.
CREATE TABLE definitions (
    game_id UUID NOT NULL REFERENCES games (id),
    revision BIGINT NOT NULL,
    -- A muster.game.v1.GameDefinition.
    definition BYTEA NOT NULL,
    author_id UUID NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (game_id, revision)
);

-- One row: how often definitions and states were changed. Whoever changes one holds its lock until the commit, so changes
-- can be read in the order of their numbers and none appears behind one that was read.
CREATE TABLE catalogue_clock (
    value BIGINT NOT NULL
);

INSERT INTO catalogue_clock (value) VALUES (0);

-- How many sessions of a game were created in the hour that begins then.
CREATE TABLE session_counts (
    hour_ms BIGINT NOT NULL,
    game_id UUID NOT NULL,
    sessions BIGINT NOT NULL,
    PRIMARY KEY (hour_ms, game_id)
);

-- The moments at which the games were put in the order of their sessions, for the pages of a listing to agree.
CREATE TABLE trends (
    taken_ms BIGINT NOT NULL PRIMARY KEY
);

CREATE TABLE trend_places (
    taken_ms BIGINT NOT NULL REFERENCES trends (taken_ms) ON DELETE CASCADE,
    place BIGINT NOT NULL,
    game_id UUID NOT NULL,
    sessions BIGINT NOT NULL,
    PRIMARY KEY (taken_ms, place)
);
