-- How what a rule replicates stands at its destinations, reference by reference.
CREATE TABLE drift (
    policy_id       BIGINT NOT NULL REFERENCES replication_policies (id) ON DELETE CASCADE,
    registry_id     BIGINT NOT NULL, -- the destination
    src_repository  TEXT NOT NULL,
    reference       TEXT NOT NULL,   -- tag, or digest of an untagged artifact
    dest_repository TEXT NOT NULL,
    state           TEXT NOT NULL,   -- in_sync, missing, different, extra, not_verified
    is_drift        BOOLEAN NOT NULL, -- the destination is not as the rule wants it
    src_digest      TEXT NOT NULL DEFAULT '',
    dest_digest     TEXT NOT NULL DEFAULT '',
    reason          TEXT NOT NULL DEFAULT '',
    verified_time   BIGINT NOT NULL DEFAULT 0,
    deep_time       BIGINT NOT NULL DEFAULT 0, -- when every blob was last seen to be there
    seen_time       BIGINT NOT NULL,           -- what is known is not older than this
    PRIMARY KEY (policy_id, registry_id, src_repository, reference)
);
CREATE INDEX drift_state ON drift (policy_id, state);
CREATE INDEX drift_destination ON drift (registry_id, dest_repository, reference);
CREATE INDEX placements_policy ON placements (policy_id, registry_id);

-- The verifications of rules. Each request has a number; those up to done are answered.
CREATE TABLE drift_checks (
    policy_id  BIGINT PRIMARY KEY REFERENCES replication_policies (id) ON DELETE CASCADE,
    asked      BIGINT NOT NULL DEFAULT 0,
    running    BIGINT NOT NULL DEFAULT 0,
    done       BIGINT NOT NULL DEFAULT 0,
    asked_time BIGINT NOT NULL DEFAULT 0,
    start_time BIGINT NOT NULL DEFAULT 0, -- of the last one that has ended
    end_time   BIGINT NOT NULL DEFAULT 0,
    deep       BOOLEAN NOT NULL DEFAULT FALSE,
    error      TEXT NOT NULL DEFAULT ''   -- why it could not say everything
);

-- Why an execution does not begin before somebody confirms it; empty: it does.
ALTER TABLE executions ADD COLUMN hold TEXT NOT NULL DEFAULT '';
-- The stored plan that an execution carries out; 0: none.
ALTER TABLE executions ADD COLUMN plan_id BIGINT NOT NULL DEFAULT 0;

-- Plans that were looked at and may be carried out as they are.
CREATE TABLE plans (
    id            {{id}},
    policy_id     BIGINT NOT NULL REFERENCES replication_policies (id) ON DELETE CASCADE,
    policy_time   BIGINT NOT NULL,                -- update_time of the rule that was planned
    complete      BOOLEAN NOT NULL DEFAULT FALSE, -- all of it is stored
    creation_time BIGINT NOT NULL,
    expiry_time   BIGINT NOT NULL
);
CREATE INDEX plans_policy ON plans (policy_id);

CREATE TABLE plan_repositories (
    plan_id         BIGINT NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
    position        BIGINT NOT NULL,
    registry_id     BIGINT NOT NULL, -- the destination
    src_repository  TEXT NOT NULL,
    dest_repository TEXT NOT NULL,
    resource_type   TEXT NOT NULL,
    error           TEXT NOT NULL DEFAULT '',
    items           TEXT NOT NULL,   -- JSON, as of tasks
    PRIMARY KEY (plan_id, position)
);
