-- Looks at what the home registry stores, and what they have found (internal/migration/inspection).
CREATE TABLE storage_inspections (
    id            {{id}},
    job_id        BIGINT NOT NULL DEFAULT 0,      -- 0: it has ended
    operator      TEXT NOT NULL,
    deep          BOOLEAN NOT NULL,
    repair        BOOLEAN NOT NULL,
    status        TEXT NOT NULL,                  -- waiting, running, succeeded, failed, stopped
    error         TEXT NOT NULL DEFAULT '',
    progress      TEXT NOT NULL DEFAULT '{}',     -- JSON
    report        TEXT NOT NULL DEFAULT '',       -- JSON, empty: there is none yet
    creation_time BIGINT NOT NULL,
    start_time    BIGINT NOT NULL DEFAULT 0,
    end_time      BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE storage_findings (
    inspection_id BIGINT NOT NULL REFERENCES storage_inspections (id) ON DELETE CASCADE,
    position      BIGINT NOT NULL,
    severity      BIGINT NOT NULL,                -- 2 broken, 1 damaged, 0 note, -1 mended
    kind          TEXT NOT NULL,
    repository    TEXT NOT NULL,
    repairable    BOOLEAN NOT NULL,
    finding       TEXT NOT NULL,                  -- JSON
    PRIMARY KEY (inspection_id, position)
);
CREATE INDEX storage_findings_severity ON storage_findings (inspection_id, severity DESC, position);
