-- What members of projects are called in the audit log is Harbor's word now.
UPDATE audit_logs SET resource_type = 'member' WHERE resource_type = 'project_member';
UPDATE settings SET value = REPLACE(value, '_project_member', '_member') WHERE name = 'disabled_audit_log_event_types';
