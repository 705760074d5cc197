-- The status of an execution that was told to whoever wants to know of it: see
-- replication/announce.go. What is there already is old news.
ALTER TABLE executions ADD COLUMN told_status TEXT NOT NULL DEFAULT '';
UPDATE executions SET told_status = status;
CREATE INDEX executions_untold ON executions (id) WHERE status <> told_status;

-- What is left to be done, in a history of any length.
CREATE INDEX tasks_unfinished ON tasks (execution_id) WHERE job_id <> 0;

-- Whether a rule does its work at a destination.
CREATE TABLE replication_states (
    policy_id    BIGINT NOT NULL REFERENCES replication_policies (id) ON DELETE CASCADE,
    registry_id  BIGINT NOT NULL,
    failing      BOOLEAN NOT NULL DEFAULT FALSE,
    reason       TEXT NOT NULL DEFAULT '',   -- why it fails
    since        BIGINT NOT NULL DEFAULT 0,  -- when it began to fail, or recovered
    success_time BIGINT NOT NULL DEFAULT 0,  -- end of the last execution that succeeded there
    PRIMARY KEY (policy_id, registry_id)
);

-- Who is told what happens, and what each was told (internal/notification).
CREATE TABLE notifications (
    id               {{id}},
    name             TEXT NOT NULL UNIQUE,
    description      TEXT NOT NULL DEFAULT '',
    enabled          BOOLEAN NOT NULL DEFAULT TRUE,
    url              TEXT NOT NULL,
    auth_header      TEXT NOT NULL DEFAULT '', -- sealed
    skip_cert_verify BOOLEAN NOT NULL DEFAULT FALSE,
    ca_certificate   TEXT NOT NULL DEFAULT '',
    payload_format   TEXT NOT NULL,
    events           TEXT NOT NULL,              -- JSON array
    policy_ids       TEXT NOT NULL DEFAULT '[]', -- JSON array; empty: all rules
    creation_time    BIGINT NOT NULL,
    update_time      BIGINT NOT NULL
);

CREATE TABLE notification_deliveries (
    id                {{id}},
    notification_id   BIGINT NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    event_id          TEXT NOT NULL, -- the same in every attempt and at every target
    event             TEXT NOT NULL, -- finished, failed, changed, test
    content_type      TEXT NOT NULL,
    body              TEXT NOT NULL,
    status            TEXT NOT NULL, -- waiting, delivered, failed
    attempts          BIGINT NOT NULL DEFAULT 0,
    response_status   BIGINT NOT NULL DEFAULT 0, -- of the last attempt, 0: none
    error             TEXT NOT NULL DEFAULT '',  -- of the last attempt
    creation_time     BIGINT NOT NULL,
    attempt_time      BIGINT NOT NULL DEFAULT 0, -- of the last attempt
    next_attempt_time BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX notification_deliveries_target ON notification_deliveries (notification_id, id);
CREATE INDEX notification_deliveries_waiting ON notification_deliveries (notification_id, id) WHERE status = 'waiting';

-- What "lighterage apply" has brought here, so that it knows what it may take away
-- and whether a secret, which nobody can read back, is still the same.
CREATE TABLE applied_resources (
    kind        TEXT NOT NULL,
    name        TEXT NOT NULL,
    set_name    TEXT NOT NULL,             -- which set of files it is in
    made        BOOLEAN NOT NULL,          -- by apply; FALSE: it was there before
    secret      TEXT NOT NULL DEFAULT '',  -- a slow salted hash
    update_time BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);
