CREATE TABLE evictions (
  scope TEXT NOT NULL, -- the run, or the id of shared content
  table_name TEXT NOT NULL, -- the table of the rows; `runs` for all rows of a run
  evicted_by TEXT NOT NULL, -- who removed them; in the target of a team, the role
  evicted_at TEXT NOT NULL, -- ISO-8601 UTC
  reason TEXT NOT NULL, -- why
  PRIMARY KEY (scope, table_name)
) STRICT, WITHOUT ROWID;
