-- Version 1.0 of the schema. A released step is never edited.

CREATE TABLE environments (
  id TEXT NOT NULL PRIMARY KEY, -- SHA-256 of the canonical content
  python TEXT, -- implementation and version
  os TEXT, -- name and version of the operating system
  machine TEXT, -- hardware architecture
  cpu TEXT, -- model of the processor
  memory_bytes INTEGER, -- physical memory
  gpus TEXT CHECK (gpus IS NULL OR json_valid(gpus)), -- JSON list of accelerators, NULL where it was not gathered
  details TEXT NOT NULL CHECK (json_valid(details)) -- JSON: libraries, thread settings, variables, flags
) STRICT;

CREATE TABLE packages (
  environment_id TEXT NOT NULL REFERENCES environments (id), -- the environment it is installed in
  name TEXT NOT NULL, -- distribution name
  version TEXT, -- distribution version
  PRIMARY KEY (environment_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE code_versions (
  id TEXT NOT NULL PRIMARY KEY, -- SHA-256 of the canonical content
  repository TEXT, -- origin of the git repository, without credentials
  commit_hash TEXT, -- commit that was checked out
  branch TEXT, -- branch that was checked out
  dirty INTEGER CHECK (dirty IN (0, 1)), -- 1 where the work tree differs from the commit
  diff TEXT, -- the difference, secrets masked; NULL where there is none or it lies in contents
  entry_script TEXT, -- path of the program that ran, relative to the repository where inside one
  entry_sha256 TEXT, -- SHA-256 of that program
  details TEXT NOT NULL CHECK (json_valid(details)) -- JSON: untracked files, cuts, masks, keys of contents
) STRICT;

CREATE TABLE contents (
  sha256 TEXT NOT NULL PRIMARY KEY, -- SHA-256 of the plain bytes
  kind TEXT NOT NULL, -- what it is: diff, file, cells, rng_state
  size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0), -- size of the plain bytes
  encoding TEXT NOT NULL CHECK (encoding IN ('plain', 'zlib')), -- how data holds them
  data BLOB NOT NULL -- the bytes
) STRICT;

CREATE TABLE datasets (
  id TEXT NOT NULL PRIMARY KEY, -- SHA-256 of the canonical content
  kind TEXT NOT NULL, -- container: ndarray, DataFrame, csr_matrix, ...
  n_rows INTEGER CHECK (n_rows >= 0), -- samples
  n_columns INTEGER CHECK (n_columns >= 0), -- values in one sample, whatever their arrangement
  size_bytes INTEGER CHECK (size_bytes >= 0), -- bytes in memory
  coverage TEXT, -- what content_hash covers: all, sample (first, middle and last rows of what is large), none
  content_hash TEXT, -- hash of the values that coverage names
  schema TEXT CHECK (schema IS NULL OR json_valid(schema)), -- JSON: column names, types, shape
  profile TEXT CHECK (profile IS NULL OR json_valid(profile)) -- JSON: by column counts and moments, by target also classes; never values of text
) STRICT;

CREATE TABLE architectures (
  id TEXT NOT NULL PRIMARY KEY, -- SHA-256 of the canonical content
  framework TEXT NOT NULL, -- framework that the model belongs to
  class_name TEXT NOT NULL, -- class of the model
  n_parameters INTEGER CHECK (n_parameters >= 0), -- parameters in all
  n_trainable INTEGER CHECK (n_trainable >= 0), -- parameters that training may change
  layers TEXT NOT NULL CHECK (json_valid(layers)) -- JSON: layers with class, shape and parameters
) STRICT;

CREATE TABLE artifacts (
  sha256 TEXT NOT NULL PRIMARY KEY, -- SHA-256 of the file
  size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0), -- size of the file
  format TEXT -- kind of file, by its name
) STRICT;

CREATE TABLE sessions (
  id TEXT NOT NULL PRIMARY KEY, -- UUIDv7
  kind TEXT NOT NULL CHECK (kind IN ('script', 'notebook', 'repl', 'pytest', 'job', 'command')), -- kind of process
  started_at TEXT NOT NULL, -- ISO-8601 UTC
  ended_at TEXT, -- ISO-8601 UTC; of a session that somebody else settled, the last time it was seen
  status TEXT NOT NULL CHECK (status IN ('running', 'finished', 'failed', 'interrupted', 'killed', 'lost', 'ended')), -- how it stands or ended
  exit_code INTEGER, -- exit code of the process; NULL when nobody could see it
  signal TEXT, -- name of the signal that ended it
  hostname TEXT, -- machine (personal, erasable)
  boot_id TEXT, -- identity of the machine's boot
  pid INTEGER, -- process number
  pid_namespace TEXT, -- namespace in which pid counts
  process_started TEXT, -- start time of the process as the system keeps it, so that a reused pid is not mistaken
  rank INTEGER, -- rank among the processes of a distributed job
  world_size INTEGER CHECK (world_size >= 1), -- processes of that job
  job_id TEXT, -- id of the batch job
  username TEXT, -- account (personal, erasable)
  actor TEXT, -- who acts (personal, erasable)
  actor_source TEXT, -- where the actor's name came from
  command TEXT, -- command line, secrets masked (personal, erasable)
  cwd TEXT, -- working folder (personal, erasable)
  environment_id TEXT REFERENCES environments (id) DEFERRABLE INITIALLY DEFERRED, -- what was installed
  code_version_id TEXT REFERENCES code_versions (id) DEFERRABLE INITIALLY DEFERRED, -- which code ran
  heartbeat_at TEXT, -- ISO-8601 UTC, the last sign of life
  recorder_version TEXT NOT NULL, -- version of histhooks
  hook_errors INTEGER NOT NULL DEFAULT 0 CHECK (hook_errors >= 0), -- failures of ours that training never saw
  dropped_points INTEGER NOT NULL DEFAULT 0 CHECK (dropped_points >= 0), -- points that could not be kept
  overhead_s REAL NOT NULL DEFAULT 0 CHECK (overhead_s >= 0), -- seconds: hooks on training threads, and CPU time of our own threads
  details TEXT CHECK (details IS NULL OR json_valid(details)) -- JSON: facts of this session that have no column
) STRICT;

CREATE TABLE runs (
  id TEXT NOT NULL PRIMARY KEY, -- UUIDv7
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the one session that writes it
  parent_id TEXT REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run it is part of
  project TEXT, -- what it belongs to
  group_name TEXT, -- runs that were started together
  name TEXT NOT NULL, -- for people; need not be unique
  kind TEXT NOT NULL CHECK (
    kind IN ('fit', 'search', 'candidate', 'validate', 'evaluate', 'preprocess', 'loop', 'block')
  ), -- what was recorded
  framework TEXT, -- sklearn, xgboost, keras, lightning, torch
  framework_version TEXT, -- its version
  model_class TEXT, -- class of the model
  call_site TEXT, -- file:line of the call
  status TEXT NOT NULL CHECK (status IN ('running', 'finished', 'failed', 'interrupted', 'killed', 'lost', 'ended')), -- how it stands or ended
  started_at TEXT NOT NULL, -- ISO-8601 UTC
  ended_at TEXT, -- ISO-8601 UTC; of a run that somebody else settled, the last time it was seen
  duration_s REAL CHECK (duration_s >= 0), -- seconds from start to end, by a clock that never goes back
  error_type TEXT, -- class of the exception
  error_message TEXT, -- its message, secrets masked
  traceback TEXT, -- its traceback, secrets masked
  architecture_id TEXT REFERENCES architectures (id) DEFERRABLE INITIALLY DEFERRED, -- shape of the model
  main_metric TEXT, -- name of the metric that ranks this run
  epochs_planned INTEGER CHECK (epochs_planned >= 0), -- epochs asked for
  epochs_done INTEGER CHECK (epochs_done >= 0), -- epochs finished
  steps_done INTEGER CHECK (steps_done >= 0) -- optimizer steps or boosting iterations finished
) STRICT;

CREATE INDEX runs_by_project ON runs (project, started_at);

CREATE INDEX runs_by_session ON runs (session_id);

CREATE INDEX runs_by_parent ON runs (parent_id);

CREATE INDEX sessions_by_status ON sessions (status);

CREATE TABLE states (
  subject_id TEXT NOT NULL, -- the run or session that this says something of
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session that wrote it
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among what this session said of this subject
  time INTEGER NOT NULL, -- microseconds UTC
  subject TEXT NOT NULL CHECK (subject IN ('session', 'run')), -- what the subject is
  state TEXT NOT NULL CHECK (json_valid(state)), -- JSON: columns that changed; personal values as commitments
  PRIMARY KEY (subject_id, session_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_links (
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the later run
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session that wrote this
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among the links this session gave this run
  kind TEXT NOT NULL CHECK (kind IN ('resumes', 'continues', 'fine-tunes', 'reproduces', 'uses')), -- how it relates
  other_run_id TEXT, -- the earlier run, which may lie in another store
  sha256 TEXT, -- the file that shows it
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (run_id, session_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE INDEX run_links_by_other ON run_links (other_run_id);

CREATE TABLE params (
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among the params of the run
  key TEXT NOT NULL, -- name, as the host calls it
  value TEXT NOT NULL CHECK (json_valid(value)), -- JSON
  source TEXT NOT NULL, -- argument, default, user, ...
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (run_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE INDEX params_by_key ON params (key, run_id);

CREATE TABLE results (
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among the results of the run
  key TEXT NOT NULL, -- name of the outcome
  value TEXT NOT NULL CHECK (json_valid(value)), -- JSON
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (run_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE optimizers (
  id TEXT NOT NULL PRIMARY KEY, -- UUIDv7
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among the rows of the run
  position INTEGER NOT NULL CHECK (position >= 0), -- 0-based, among the optimizers of the run
  class_name TEXT NOT NULL, -- class of the optimizer
  settings TEXT NOT NULL CHECK (json_valid(settings)), -- JSON
  scheduler TEXT CHECK (scheduler IS NULL OR json_valid(scheduler)), -- JSON
  time INTEGER NOT NULL, -- microseconds UTC
  UNIQUE (run_id, ordinal)
) STRICT;

CREATE TABLE optimizer_groups (
  optimizer_id TEXT NOT NULL REFERENCES optimizers (id) DEFERRABLE INITIALLY DEFERRED, -- the optimizer
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among the rows of the run
  position INTEGER NOT NULL CHECK (position >= 0), -- 0-based, among the groups of the optimizer
  n_parameters INTEGER CHECK (n_parameters >= 0), -- parameters in the group
  lr REAL, -- learning rate
  settings TEXT NOT NULL CHECK (json_valid(settings)), -- JSON
  step INTEGER CHECK (step >= 0), -- first step for which these settings held
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (run_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_datasets (
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among the data of the run
  dataset_id TEXT NOT NULL REFERENCES datasets (id) DEFERRABLE INITIALLY DEFERRED, -- the fingerprint
  role TEXT NOT NULL, -- train, valid, test, ...
  name TEXT, -- the program's name for it
  source TEXT, -- where it came from
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (run_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE INDEX run_datasets_by_dataset ON run_datasets (dataset_id);

CREATE TABLE run_artifacts (
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among the files of the run
  sha256 TEXT NOT NULL REFERENCES artifacts (sha256) DEFERRABLE INITIALLY DEFERRED, -- the file's content
  path TEXT NOT NULL, -- where it was
  role TEXT NOT NULL, -- model, checkpoint, file, ...
  direction TEXT NOT NULL CHECK (direction IN ('in', 'out')), -- read or written
  step INTEGER, -- 0-based step at which it was written
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (run_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE INDEX run_artifacts_by_sha256 ON run_artifacts (sha256);

CREATE TABLE seeds (
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session
  run_id TEXT REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run that was under way, if any
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, in the run if there is one, else in the session
  library TEXT NOT NULL, -- random, numpy, torch, ...
  call TEXT NOT NULL, -- the function that was called
  value TEXT, -- its seed
  location TEXT, -- file:line of the call
  time INTEGER NOT NULL -- microseconds UTC
) STRICT;

CREATE UNIQUE INDEX seeds_by_scope ON seeds (coalesce(run_id, session_id), ordinal);

CREATE TABLE rng_states (
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session
  run_id TEXT REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run, where it was taken at its start
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, in the run if there is one, else in the session
  point TEXT NOT NULL, -- when it was taken: process_start, run_start
  library TEXT NOT NULL, -- random, numpy, torch, ...
  device TEXT, -- device of the generator
  algorithm TEXT, -- generator
  digest TEXT NOT NULL, -- SHA-256 of the state
  state BLOB, -- the state, zlib-compressed; NULL where an earlier row with this digest holds it
  time INTEGER NOT NULL -- microseconds UTC
) STRICT;

CREATE UNIQUE INDEX rng_states_by_scope ON rng_states (coalesce(run_id, session_id), ordinal);

CREATE TABLE events (
  id TEXT NOT NULL PRIMARY KEY, -- UUIDv7
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session
  run_id TEXT REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run, if it concerns one
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, in the run if there is one, else in the session
  time INTEGER NOT NULL, -- microseconds UTC
  step INTEGER, -- 0-based step
  kind TEXT NOT NULL, -- what happened, in one word
  severity TEXT NOT NULL CHECK (severity IN ('debug', 'info', 'warning', 'error')), -- how grave
  title TEXT NOT NULL, -- one line
  body TEXT, -- the rest
  count INTEGER NOT NULL DEFAULT 1 CHECK (count >= 1) -- how many times
) STRICT;

CREATE UNIQUE INDEX events_by_scope ON events (coalesce(run_id, session_id), ordinal);

CREATE INDEX events_by_run ON events (run_id);

CREATE TABLE captures (
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session
  run_id TEXT REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run, if it concerns one
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, in the run if there is one, else in the session
  collector TEXT NOT NULL, -- what was to be gathered
  status TEXT NOT NULL CHECK (status IN ('ok', 'skipped', 'failed', 'truncated', 'off')), -- what came of it
  note TEXT, -- why, or how much was cut
  duration_s REAL CHECK (duration_s >= 0), -- seconds it took
  time INTEGER NOT NULL -- microseconds UTC
) STRICT;

CREATE UNIQUE INDEX captures_by_scope ON captures (coalesce(run_id, session_id), ordinal);

CREATE INDEX captures_by_run ON captures (run_id);

CREATE TABLE tags (
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session that wrote it
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among the tags this session gave this run
  key TEXT NOT NULL, -- name
  value TEXT, -- value (personal, erasable)
  value_sha256 TEXT NOT NULL, -- commitment to it
  author TEXT, -- who (personal, erasable)
  author_sha256 TEXT NOT NULL, -- commitment to it
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (run_id, session_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE notes (
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session that wrote it
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, among the notes this session gave this run
  body TEXT, -- text (personal, erasable)
  body_sha256 TEXT NOT NULL, -- commitment to it
  author TEXT, -- who (personal, erasable)
  author_sha256 TEXT NOT NULL, -- commitment to it
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (run_id, session_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE metric_summaries (
  series INTEGER NOT NULL PRIMARY KEY, -- local key of the series, which no other file need share
  run_id TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED, -- the run
  name TEXT NOT NULL, -- the host's own name
  metric TEXT NOT NULL, -- what is measured, without the split
  split TEXT NOT NULL CHECK (split IN ('train', 'valid', 'test', 'system')), -- on which data
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

CREATE INDEX metric_summaries_by_name ON metric_summaries (name, run_id);

CREATE TABLE points (
  series INTEGER NOT NULL REFERENCES metric_summaries (series) DEFERRABLE INITIALLY DEFERRED, -- the series
  n INTEGER NOT NULL CHECK (n >= 0), -- 0-based order of arrival in the series
  step INTEGER, -- 0-based step; NULL where it is n
  epoch INTEGER, -- 0-based epoch; NULL where there is none
  time INTEGER NOT NULL, -- microseconds since start_time of the series
  value REAL, -- the value; NULL where it is not finite
  special TEXT CHECK (special IN ('nan', 'inf', '-inf')), -- the value where it is not finite
  PRIMARY KEY (series, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollups (
  series INTEGER NOT NULL REFERENCES metric_summaries (series) DEFERRABLE INITIALLY DEFERRED, -- the series
  level INTEGER NOT NULL CHECK (level BETWEEN 1 AND 4), -- 1: 64 points a bucket, 2: 1024, 3: 16384, 4: 262144
  bucket INTEGER NOT NULL CHECK (bucket >= 0), -- 0-based; only full buckets are kept
  first_step INTEGER NOT NULL, -- step of its first point
  last_step INTEGER NOT NULL, -- step of its last point
  count INTEGER NOT NULL, -- finite points
  min REAL, -- least finite value
  max REAL, -- greatest finite value
  mean REAL, -- mean of the finite values
  PRIMARY KEY (series, level, bucket)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger (
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session that wrote the batch
  seq INTEGER NOT NULL CHECK (seq >= 0), -- 0-based, in the session
  n_rows INTEGER NOT NULL, -- rows in the batch
  digest TEXT NOT NULL, -- SHA-256 of the line
  previous TEXT, -- digest of the session's line before
  time INTEGER NOT NULL, -- microseconds UTC
  heads TEXT CHECK (heads IS NULL OR json_valid(heads)), -- JSON, first line only: last lines of other sessions
  PRIMARY KEY (session_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger_parts (
  session_id TEXT NOT NULL, -- the line's session
  seq INTEGER NOT NULL, -- the line
  scope TEXT NOT NULL, -- the run, session or content that the rows belong to
  table_name TEXT NOT NULL, -- the table they are in
  first INTEGER NOT NULL, -- ordinal of the first row
  last INTEGER NOT NULL, -- ordinal of the last row
  n_rows INTEGER NOT NULL, -- rows
  digest TEXT NOT NULL, -- SHA-256 of their canonical form
  ranges TEXT CHECK (ranges IS NULL OR json_valid(ranges)), -- JSON, points only: [[name, first n, last n], ...]
  PRIMARY KEY (session_id, seq, scope, table_name),
  FOREIGN KEY (session_id, seq) REFERENCES ledger (session_id, seq) DEFERRABLE INITIALLY DEFERRED
) STRICT, WITHOUT ROWID;

CREATE INDEX ledger_parts_by_scope ON ledger_parts (scope, table_name);

CREATE TABLE salts (
  subject_id TEXT NOT NULL, -- the run or session
  field TEXT NOT NULL, -- the personal value: a column of sessions, or table/writing session/ordinal/column
  salt TEXT NOT NULL, -- 32 hexadecimal digits; removed when the value is erased
  PRIMARY KEY (subject_id, field)
) STRICT, WITHOUT ROWID;

CREATE TABLE tombstones (
  session_id TEXT NOT NULL REFERENCES sessions (id) DEFERRABLE INITIALLY DEFERRED, -- the session that removed it
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0), -- 0-based, in the session
  action TEXT NOT NULL CHECK (action IN ('delete', 'redact')), -- what was done
  subject_id TEXT NOT NULL, -- the run, session or content that is gone
  digests TEXT NOT NULL CHECK (json_valid(digests)), -- JSON: digests of the parts that are gone
  reason TEXT NOT NULL, -- why
  actor TEXT, -- who (personal, erasable)
  actor_sha256 TEXT NOT NULL, -- commitment to it
  time INTEGER NOT NULL, -- microseconds UTC
  PRIMARY KEY (session_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE exports (
  id TEXT NOT NULL PRIMARY KEY, -- UUIDv7
  kind TEXT NOT NULL CHECK (kind IN ('export', 'spool')), -- why this file holds a part of a history only
  holds TEXT NOT NULL CHECK (json_valid(holds)), -- JSON list: the scopes that are here whole
  time INTEGER NOT NULL -- microseconds UTC
) STRICT;

CREATE TABLE merged_spools (
  name TEXT NOT NULL PRIMARY KEY, -- identity of a spool that was merged into this store
  time INTEGER NOT NULL -- microseconds UTC
) STRICT;

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

CREATE VIEW latest_params AS
SELECT p.run_id AS run_id, p.key AS key, p.value AS value, p.source AS source
FROM params AS p
WHERE p.ordinal = (SELECT max(q.ordinal) FROM params AS q WHERE q.run_id = p.run_id AND q.key = p.key);

CREATE VIEW latest_results AS
SELECT r.run_id AS run_id, r.key AS key, r.value AS value
FROM results AS r
WHERE r.ordinal = (SELECT max(q.ordinal) FROM results AS q WHERE q.run_id = r.run_id AND q.key = r.key);
