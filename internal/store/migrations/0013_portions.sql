-- Indexes that are at a destination for some platforms only. A row is written before the
-- index is put. Without one, an index that is at a destination counts as whole.
CREATE TABLE portions (
    registry_id   BIGINT NOT NULL,
    repository    TEXT NOT NULL,    -- at the destination
    digest        TEXT NOT NULL,    -- at the destination
    source_digest TEXT NOT NULL,    -- the same: sparse; else what digest was made from
    platforms     TEXT NOT NULL,    -- linux/amd64,linux/arm64
    complete      BOOLEAN NOT NULL, -- what is wanted of it was there
    PRIMARY KEY (registry_id, repository, digest, source_digest, platforms)
);
CREATE INDEX portions_source ON portions (registry_id, repository, source_digest);
