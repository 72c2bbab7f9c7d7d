-- What admins say to everyone, or to the players of a game.

CREATE TABLE announcements (
    id UUID NOT NULL PRIMARY KEY,
    -- NULL: it is for everyone.
    game_id UUID NULL,
    -- A muster.events.v1.Announcement.
    body BYTEA NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);

CREATE INDEX announcements_by_age ON announcements (created_ms, id);
CREATE INDEX announcements_by_expiry ON announcements (expires_ms);
