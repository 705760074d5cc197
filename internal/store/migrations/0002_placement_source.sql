-- From which repository a rule put something at a destination: several may share
-- one name there. Empty: it was put there before this was noted.
ALTER TABLE placements ADD COLUMN source_repository TEXT NOT NULL DEFAULT '';
