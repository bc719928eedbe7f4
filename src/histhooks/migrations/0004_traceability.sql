-- Version 1.2 of the schema: what production traceability needs. A released step is never edited.
--
-- Data by content and how it meets other data, preprocessing, weights, splits, files that were read; what came of
-- repeating and of checking a run; versions of models, what became of them, and what they met in production.

CREATE TABLE dataset_digests (
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among such rows of the run
  dataset_id TEXT NOT NULL REFERENCES datasets (id) DEFERRABLE INITIALLY DEFERRED, -- the fingerprint of the data
  part TEXT NOT NULL CHECK (part IN ('all', 'features', 'target', 'rows', 'order')), -- what of it was hashed
  algorithm TEXT NOT NULL, -- xxh3_128, sha256, bag64
  digest TEXT, -- hexadecimal; NULL where it could not be made
  coverage TEXT NOT NULL CHECK (coverage IN ('all', 'sample', 'index', 'none')), -- how much of it: only all is identity
  n_rows INTEGER CHECK (n_rows >= 0), -- rows that were hashed
  size_bytes INTEGER CHECK (size_bytes >= 0), -- bytes that were hashed
  key_id TEXT, -- the key of the row hashes; NULL where none was used
  duration_s REAL CHECK (duration_s >= 0), -- seconds it took, beside the training
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (run_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE dataset_sketches (
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among such rows of the run
  dataset_id TEXT NOT NULL REFERENCES datasets (id) DEFERRABLE INITIALLY DEFERRED, -- the fingerprint of the data
  part TEXT NOT NULL, -- features, rows or group:<column>
  key_id TEXT, -- the key of the row hashes
  n_rows INTEGER NOT NULL CHECK (n_rows >= 0), -- rows of the data
  n_distinct INTEGER CHECK (n_distinct >= 0), -- of them with different hashes
  theta TEXT NOT NULL, -- hashes below this of 2^64 are kept, as a decimal number
  content_sha256 TEXT NOT NULL REFERENCES contents (sha256) DEFERRABLE INITIALLY DEFERRED, -- the hashes, sorted, 8 bytes each, little-endian
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (run_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE dataset_overlaps (
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among such rows of the run
  dataset_id TEXT NOT NULL REFERENCES datasets (id) DEFERRABLE INITIALLY DEFERRED, -- the data whose rows were looked up
  other_dataset_id TEXT NOT NULL REFERENCES datasets (id) DEFERRABLE INITIALLY DEFERRED, -- the data that they were looked up in
  other_run_id TEXT, -- the run that used the other data; NULL where it is this one
  part TEXT NOT NULL, -- features, rows, index, group:<column> or time:<column>
  n_rows INTEGER NOT NULL CHECK (n_rows >= 0), -- rows of the data
  n_equal INTEGER NOT NULL CHECK (n_equal >= 0), -- of them that are in the other data
  n_twins INTEGER CHECK (n_twins >= 0), -- rows of the other data that have an equal row in it: the baseline of chance
  is_identifying INTEGER CHECK (is_identifying IN (0, 1)), -- whether a column tells rows apart, so that equal ones are no chance
  method TEXT NOT NULL CHECK (method IN ('exact', 'sketch', 'index')), -- how they were compared
  key_id TEXT, -- the key of the row hashes
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (run_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE dataset_columns (
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among such rows of the run
  dataset_id TEXT NOT NULL REFERENCES datasets (id) DEFERRABLE INITIALLY DEFERRED, -- the fingerprint of the data
  position INTEGER NOT NULL CHECK (position >= 0), -- 0-based, among its columns
  name TEXT, -- name of the column
  facts TEXT NOT NULL CHECK (json_valid(facts)), -- JSON: distinct, edges, counts, zero, monotone, alone, equals_target, missing, infinite, categories
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (run_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE transforms (
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among such rows of the run
  position INTEGER NOT NULL CHECK (position >= 0), -- 0-based, among the transformers that the data went through
  class_name TEXT NOT NULL, -- class of the transformer
  transform_run_id TEXT, -- the run that fitted it
  fitted_dataset_id TEXT REFERENCES datasets (id) DEFERRABLE INITIALLY DEFERRED, -- the data it was fitted on
  role TEXT NOT NULL, -- the data of the run: train, valid, test
  n_rows INTEGER CHECK (n_rows >= 0), -- rows of that data that came out of the transformer
  n_fitted INTEGER CHECK (n_fitted >= 0), -- of them that it had been fitted on
  by TEXT NOT NULL CHECK (by IN ('rows', 'columns')), -- how they were found
  uses_target INTEGER CHECK (uses_target IN (0, 1)), -- whether it was fitted with a target
  requires_fit INTEGER CHECK (requires_fit IN (0, 1)), -- whether it learns from data at all
  state_sha256 TEXT, -- its fitted state, by content
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (run_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE weights (
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among such rows of the run
  point TEXT NOT NULL CHECK (point IN ('start', 'end', 'best', 'saved')), -- when they were taken
  n_tensors INTEGER NOT NULL CHECK (n_tensors >= 0), -- arrays
  n_values INTEGER NOT NULL CHECK (n_values >= 0), -- numbers in them
  nonfinite INTEGER CHECK (nonfinite >= 0), -- of them that are NaN or infinite
  l2 REAL, -- Euclidean norm of all finite ones
  digest TEXT, -- of all of them, hexadecimal; NULL where not all could be read
  algorithm TEXT, -- xxh3_128, sha256
  tensors TEXT CHECK (tensors IS NULL OR json_valid(tensors)), -- JSON: name to the first 12 digits of its digest, 2,000 at most
  step INTEGER CHECK (step >= 0), -- 0-based step after which they were taken
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (run_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE splits (
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session
  run_id TEXT REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run that was under way, if any
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, in the run if there is one, else in the session
  function TEXT NOT NULL, -- the function or the splitter
  arguments TEXT NOT NULL CHECK (json_valid(arguments)), -- JSON: its settings
  n_in INTEGER CHECK (n_in >= 0), -- samples that were split
  n_out TEXT CHECK (n_out IS NULL OR json_valid(n_out)), -- JSON: samples of each part
  shuffled INTEGER CHECK (shuffled IN (0, 1)), -- whether their order was changed
  location TEXT, -- file:line of the call
  time INTEGER NOT NULL -- microseconds UTC
) STRICT;

CREATE UNIQUE INDEX splits_by_scope ON splits (coalesce(run_id, session_id), ordinal);

CREATE TABLE file_reads (
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session
  run_id TEXT REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run that was under way, if any
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, in the run if there is one, else in the session
  path TEXT NOT NULL, -- the file
  sha256 TEXT, -- its content; NULL where it was not hashed
  size_bytes INTEGER CHECK (size_bytes >= 0), -- its size
  mtime INTEGER, -- when it was last changed, microseconds UTC
  function TEXT NOT NULL, -- what read it
  location TEXT, -- file:line of the call
  time INTEGER NOT NULL -- microseconds UTC
) STRICT;

CREATE UNIQUE INDEX file_reads_by_scope ON file_reads (coalesce(run_id, session_id), ordinal);

CREATE TABLE reproductions (
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run that repeats another one
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session that wrote it
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among such rows this session gave this run
  other_run_id TEXT NOT NULL, -- the run that was repeated
  level TEXT NOT NULL CHECK (level IN ('bits', 'curve', 'metric', 'differs', 'failed')), -- how far they agree
  required TEXT CHECK (required IN ('bits', 'curve', 'metric')), -- how far they had to
  n_series INTEGER CHECK (n_series >= 0), -- curves that were compared
  n_points INTEGER CHECK (n_points >= 0), -- points that were compared
  n_equal INTEGER CHECK (n_equal >= 0), -- of them that are equal
  first TEXT CHECK (first IS NULL OR json_valid(first)), -- JSON, the first difference: stage, series, n, step, value, other
  max_abs REAL, -- greatest difference
  max_rel REAL, -- greatest relative difference
  weights_equal INTEGER CHECK (weights_equal IN (0, 1)), -- whether the weights at the end are equal
  causes TEXT CHECK (causes IS NULL OR json_valid(causes)), -- JSON: what else differs
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (run_id, session_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE check_results (
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session that wrote it
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among such rows this session gave this run
  check_id TEXT NOT NULL, -- the check
  version TEXT NOT NULL, -- its version
  level TEXT NOT NULL CHECK (level IN ('pass', 'info', 'warn', 'fail', 'cannot_tell', 'waived')), -- the verdict
  value REAL, -- what was measured
  threshold REAL, -- what it was judged by
  evidence TEXT CHECK (evidence IS NULL OR json_valid(evidence)), -- JSON: the rows it rests on
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (run_id, session_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE waivers (
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session that wrote it
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among such rows of the session
  check_id TEXT NOT NULL, -- the check
  run_id TEXT, -- the run it is waived for
  model TEXT, -- the model it is waived for
  version_id TEXT, -- the version it is waived for
  reason TEXT NOT NULL, -- why
  until TEXT, -- last day it holds, ISO 8601
  author TEXT, -- who (personal, erasable)
  author_sha256 TEXT NOT NULL, -- commitment to it
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (session_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE model_versions (
  id TEXT NOT NULL PRIMARY KEY, -- UUIDv7
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session that wrote it
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0
  model TEXT NOT NULL, -- name of the model
  number INTEGER NOT NULL CHECK (number >= 1), -- 1-based, of that model in the store that gave it
  sha256 TEXT NOT NULL REFERENCES artifacts (sha256) DEFERRABLE INITIALLY DEFERRED, -- its file, by content
  run_id TEXT, -- the run that made it, NULL where none is known
  path TEXT, -- where it was
  kept INTEGER CHECK (kept IN (0, 1)), -- whether its bytes are kept beside the store
  parent_id TEXT, -- the version it replaces
  signature TEXT CHECK (signature IS NULL OR json_valid(signature)), -- JSON: its input and output
  author TEXT, -- who (personal, erasable)
  author_sha256 TEXT NOT NULL, -- commitment to it
  time INTEGER NOT NULL -- microseconds UTC
) STRICT;

CREATE TABLE model_events (
  version_id TEXT NOT NULL REFERENCES model_versions (id) DEFERRABLE INITIALLY DEFERRED, -- the version
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session that wrote it
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among the events this session gave this version
  action TEXT NOT NULL CHECK (action IN ('register', 'promote', 'rollback', 'demote', 'approve', 'reject', 'retire', 'deploy', 'note')), -- what was done
  alias TEXT, -- the name that moved
  from_version_id TEXT, -- the version it pointed to before
  reason TEXT, -- why
  run_id TEXT, -- the run that made the version
  checks TEXT CHECK (checks IS NULL OR json_valid(checks)), -- JSON: the verdict of the checks
  author TEXT, -- who (personal, erasable)
  author_sha256 TEXT NOT NULL, -- commitment to it
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (version_id, session_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE windows (
  id TEXT NOT NULL PRIMARY KEY, -- UUIDv7
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session that wrote it
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among such rows of the session
  model TEXT NOT NULL, -- name of the model
  version_id TEXT, -- its version
  sha256 TEXT, -- the file that was loaded
  started_at TEXT NOT NULL, -- ISO 8601 UTC
  ended_at TEXT, -- ISO 8601 UTC
  n_calls INTEGER NOT NULL CHECK (n_calls >= 0), -- calls
  n_rows INTEGER NOT NULL CHECK (n_rows >= 0), -- rows that were predicted
  n_errors INTEGER CHECK (n_errors >= 0), -- calls that raised
  latency TEXT CHECK (latency IS NULL OR json_valid(latency)), -- JSON: calls by power of two of microseconds
  columns TEXT CHECK (columns IS NULL OR json_valid(columns)), -- JSON: counts of each column at the edges of the training data
  outputs TEXT CHECK (outputs IS NULL OR json_valid(outputs)), -- JSON: counts of what was predicted
  source TEXT NOT NULL CHECK (source IN ('live', 'file')), -- where the rows came from
  time INTEGER NOT NULL, -- microseconds UTC
  UNIQUE (session_id, ordinal)
) STRICT;

CREATE TABLE window_metrics (
  window_id TEXT NOT NULL REFERENCES windows (id) DEFERRABLE INITIALLY DEFERRED, -- the window
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session that wrote it
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among such rows of the session
  metric TEXT NOT NULL, -- what was measured
  sum REAL, -- sum over the rows
  count INTEGER NOT NULL CHECK (count >= 0), -- rows with a label
  value REAL, -- the value where it is no mean
  n_late INTEGER CHECK (n_late >= 0), -- labels that came after the window
  delay_s REAL, -- seconds they took
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (session_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE signatures (
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session that wrote it
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among such rows of the session
  subject TEXT NOT NULL CHECK (subject IN ('head', 'file', 'pack', 'version')), -- what was signed
  subject_sha256 TEXT NOT NULL, -- its digest
  meaning TEXT NOT NULL CHECK (meaning IN ('trained', 'reviewed', 'validated', 'approved')), -- what the signature says
  key_id TEXT NOT NULL, -- the key
  algorithm TEXT NOT NULL, -- how it was signed
  content_sha256 TEXT NOT NULL REFERENCES contents (sha256) DEFERRABLE INITIALLY DEFERRED, -- the signature itself
  author TEXT, -- who (personal, erasable)
  author_sha256 TEXT NOT NULL, -- commitment to it
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (session_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE INDEX dataset_digests_by_dataset ON dataset_digests (dataset_id);

CREATE INDEX file_reads_by_sha256 ON file_reads (sha256);

CREATE INDEX model_versions_by_model ON model_versions (model, number);

CREATE VIEW live_versions AS
SELECT alias, model, version_id, number, since, author, reason
FROM (
  SELECT
    e.alias AS alias,
    v.model AS model,
    e.version_id AS version_id,
    v.number AS number,
    e.time AS since,
    e.author AS author,
    e.reason AS reason,
    e.action AS action,
    row_number() OVER (
      PARTITION BY v.model, e.alias ORDER BY e.time DESC, e.session_id DESC, e.ordinal DESC
    ) AS place
  FROM model_events AS e
  JOIN model_versions AS v ON v.id = e.version_id
  WHERE e.alias IS NOT NULL AND e.action IN ('promote', 'rollback', 'demote', 'retire')
)
WHERE place = 1 AND action IN ('promote', 'rollback');

CREATE VIEW latest_checks AS
SELECT run_id, check_id, version, level, value, threshold, evidence, session_id, time
FROM (
  SELECT
    c.*,
    row_number() OVER (
      PARTITION BY c.run_id, c.check_id ORDER BY c.time DESC, c.session_id DESC, c.ordinal DESC
    ) AS place
  FROM check_results AS c
)
WHERE place = 1;
