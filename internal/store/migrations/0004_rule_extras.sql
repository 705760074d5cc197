-- What a rule asks for beyond Harbor's rules: JSON, see rule.Extras.
ALTER TABLE replication_policies ADD COLUMN extras TEXT NOT NULL DEFAULT '{}';

-- Where a rule replicates to besides dest_registry_id.
CREATE TABLE replication_policy_destinations (
    policy_id   BIGINT NOT NULL REFERENCES replication_policies (id) ON DELETE CASCADE,
    position    BIGINT NOT NULL,
    registry_id BIGINT NOT NULL,
    PRIMARY KEY (policy_id, registry_id)
);
CREATE INDEX replication_policy_destinations_registry ON replication_policy_destinations (registry_id);

-- The registry that a task goes to: a rule may have several.
ALTER TABLE tasks ADD COLUMN dest_registry_id BIGINT NOT NULL DEFAULT 0;
UPDATE tasks SET dest_registry_id = (SELECT p.dest_registry_id FROM executions e JOIN replication_policies p ON p.id = e.policy_id
    WHERE e.id = tasks.execution_id);
