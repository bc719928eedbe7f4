-- Version 1.1 of the schema: the split of a metric may be NULL, which says that nobody knows on which data it was
-- measured. Stores that an unreleased histhooks made at 1.1 get this step with those of 1.2.

DROP VIEW metrics;

CREATE TABLE metric_summaries_anew (
  series INTEGER NOT NULL PRIMARY KEY, -- local key of the series, which no other file need share
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run
  name TEXT NOT NULL, -- the host's own name
  metric TEXT NOT NULL, -- what is measured, without the split
  split TEXT CHECK (split IN ('train', 'valid', 'test', 'system')), -- on which data, NULL where nobody knows
  direction INTEGER NOT NULL CHECK (direction IN (-1, 0, 1)), -- 1 up is better, -1 down is better, 0 unknown
  start_time INTEGER NOT NULL, -- microseconds UTC, the start of the run, from which points count their time
  count INTEGER NOT NULL CHECK (count >= 0), -- points
  first REAL, -- value of the first point, NULL where it is not finite
  last REAL, -- value of the last point, NULL where it is not finite
  last_special TEXT CHECK (last_special IN ('nan', 'inf', '-inf')), -- the last point where it is not finite
  last_step INTEGER, -- its step
  last_epoch INTEGER, -- its epoch
  min REAL, -- least finite value
  min_step INTEGER, -- step at which it came first
  max REAL, -- greatest finite value
  max_step INTEGER, -- step at which it came first
  nonfinite INTEGER NOT NULL CHECK (nonfinite >= 0), -- points that are not finite
  UNIQUE (run_id, name)
) STRICT;

INSERT INTO metric_summaries_anew SELECT * FROM metric_summaries;

DROP TABLE metric_summaries;

ALTER TABLE metric_summaries_anew RENAME TO metric_summaries;

CREATE INDEX metric_summaries_by_name ON metric_summaries (name, run_id);

CREATE VIEW metrics AS
SELECT
  s.run_id AS run_id,
  s.name AS name,
  s.metric AS metric,
  s.split AS split,
  coalesce(p.step, p.n) AS step,
  p.epoch AS epoch,
  s.start_time + p.time AS time,
  p.value AS value,
  p.special AS special,
  p.n AS n
FROM points AS p
JOIN metric_summaries AS s ON s.series = p.series;
