-- Between which registries an execution was started; 0 and 0: before this was noted.
ALTER TABLE executions ADD COLUMN src_registry_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN dest_registry_id BIGINT NOT NULL DEFAULT 0;
