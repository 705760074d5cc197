-- What a Harbor that is home has told of its changes (internal/home/harbor): the same
-- change is told by a webhook and by the audit log, and each of them may repeat itself.

CREATE TABLE harbor_changes (
    kind       TEXT NOT NULL,               -- push, delete, create_tag, delete_tag
    repository TEXT NOT NULL,
    reference  TEXT NOT NULL,               -- tag, or digest
    second     BIGINT NOT NULL,             -- when it happened by Harbor's clock, Unix time
    digests    TEXT NOT NULL DEFAULT '[]',  -- JSON array: what webhooks named
    logged     BIGINT NOT NULL DEFAULT 0,   -- entries of the audit log
    recorded   BIGINT NOT NULL DEFAULT 0,   -- events made of them
    PRIMARY KEY (kind, repository, reference, second)
);
CREATE INDEX harbor_changes_second ON harbor_changes (second);
