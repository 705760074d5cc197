-- What is still to be done in a repository, for those who look at what is in it.
CREATE INDEX tasks_unfinished_repository ON tasks (src_repository) WHERE job_id <> 0;

-- The artifacts of a repository in the order in which they are listed.
CREATE INDEX artifacts_pushed ON artifacts (repository_id, push_time, id);
