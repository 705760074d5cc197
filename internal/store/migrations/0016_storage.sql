-- Moves of the home registry's content to another storage (internal/migration/cutover).
CREATE TABLE storage_migrations (
    id            {{id}},
    open          BIGINT UNIQUE,              -- 1: it is not over, and only one is so; NULL: it is over
    status        TEXT NOT NULL,
    wish          TEXT NOT NULL DEFAULT '',   -- that somebody has, and that is not fulfilled yet
    asked         BOOLEAN NOT NULL DEFAULT FALSE, -- the read-only window may be opened
    document      TEXT NOT NULL,              -- cutover.State, as JSON
    secret        TEXT NOT NULL DEFAULT '',   -- sealed: those of both ends
    owner         TEXT NOT NULL DEFAULT '',   -- the server that works on it
    lease         BIGINT NOT NULL DEFAULT 0,  -- until when it does
    creation_time BIGINT NOT NULL
);

-- Where the home registry's content is, and whether a migration keeps it from being changed: one row, or none when it was never moved.
CREATE TABLE storage_site (
    id         BIGINT PRIMARY KEY,
    generation BIGINT NOT NULL,               -- grows with each change; servers tell which one they follow
    frozen     BOOLEAN NOT NULL DEFAULT FALSE,
    place      TEXT NOT NULL DEFAULT '',      -- cutover.Place, as JSON; empty: what the command line says
    secret     TEXT NOT NULL DEFAULT '',      -- sealed
    replaced   TEXT NOT NULL DEFAULT '',      -- what the command line said when the content was moved away
    since      BIGINT NOT NULL DEFAULT 0
);

-- The servers that serve it.
CREATE TABLE storage_servers (
    name       TEXT PRIMARY KEY,
    seen       BIGINT NOT NULL,
    generation BIGINT NOT NULL DEFAULT 0,     -- of storage_site that it follows
    error      TEXT NOT NULL DEFAULT ''       -- why it does not follow
);
