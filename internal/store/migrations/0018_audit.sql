-- Who did what (internal/audit). Entries outlive what they are about.
CREATE TABLE audit_logs (
    id                    {{id}},
    project_id            BIGINT NOT NULL DEFAULT 0, -- 0: outside of projects, or of one that is gone
    username              TEXT NOT NULL,
    resource              TEXT NOT NULL,             -- library/alpine:3.20, a name
    resource_type         TEXT NOT NULL,             -- artifact, user, ...
    operation             TEXT NOT NULL,             -- create, delete, pull, ...
    operation_description TEXT NOT NULL DEFAULT '',
    operation_result      BOOLEAN NOT NULL DEFAULT TRUE, -- FALSE: it was refused or it failed
    op_time               BIGINT NOT NULL
);
CREATE INDEX audit_logs_time ON audit_logs (op_time, id);
CREATE INDEX audit_logs_project ON audit_logs (project_id, op_time, id);
