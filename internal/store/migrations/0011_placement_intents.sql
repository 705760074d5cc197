-- What a rule was about to put under a reference at a destination, until it is noted
-- what it has put there: a server that was killed in between has put it, or not.
CREATE TABLE placement_intents (
    registry_id BIGINT NOT NULL,
    repository  TEXT NOT NULL, -- at the destination
    reference   TEXT NOT NULL,
    digest      TEXT NOT NULL,
    PRIMARY KEY (registry_id, repository, reference, digest)
);
