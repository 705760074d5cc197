-- What is still to be done in a repository, for those who look at what is in it.
CREATE INDEX tasks_unfinished_repository ON tasks (src_repository) WHERE job_id <> 0;
