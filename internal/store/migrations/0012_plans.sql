-- The execution that carries a plan out; 0: none yet.
ALTER TABLE plans ADD COLUMN execution_id BIGINT NOT NULL DEFAULT 0;
-- The registries that the plan is about, as JSON: of another one it says nothing.
ALTER TABLE plans ADD COLUMN endpoints TEXT NOT NULL DEFAULT '';
