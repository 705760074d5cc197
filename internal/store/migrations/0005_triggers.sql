-- When the rules that have a schedule are due next. A row is moved on by whoever
-- starts the rule, in the same transaction.
CREATE TABLE replication_schedules (
    policy_id BIGINT PRIMARY KEY REFERENCES replication_policies (id) ON DELETE CASCADE,
    schedule  TEXT NOT NULL, -- what next_run follows from
    next_run  BIGINT NOT NULL
);
CREATE INDEX replication_schedules_next ON replication_schedules (next_run);

-- What is to be said of an execution, besides why it failed.
ALTER TABLE executions ADD COLUMN note TEXT NOT NULL DEFAULT '';

-- It begins when those of the same rule before it have ended.
ALTER TABLE executions ADD COLUMN waits BOOLEAN NOT NULL DEFAULT FALSE;

-- The labels that an artifact had before an event that changed them: JSON array.
ALTER TABLE events ADD COLUMN former_labels TEXT NOT NULL DEFAULT '[]';
