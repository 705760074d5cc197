-- What was done in the last hours, in a history of any length.
CREATE INDEX tasks_ended ON tasks (end_time) WHERE end_time > 0;
