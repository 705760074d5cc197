-- The most kilobits a second that all rules together may read from or write to a
-- registry; 0: no limit.
ALTER TABLE registries ADD COLUMN speed BIGINT NOT NULL DEFAULT 0;

-- Somebody decided that it stays although the source does not have it any more; until
-- the rule puts something there again.
ALTER TABLE placements ADD COLUMN kept BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX placements_kept ON placements (registry_id, repository) WHERE kept;

-- Since when a rule follows events; what was pushed before is not its concern. 0: it does not.
ALTER TABLE replication_policies ADD COLUMN events_since BIGINT NOT NULL DEFAULT 0;
UPDATE replication_policies SET events_since = creation_time WHERE trigger_type = 'event_based';

-- Executions that somebody has to release, and those that nobody did: see hold.
CREATE INDEX executions_held ON executions (policy_id) WHERE hold <> '';
