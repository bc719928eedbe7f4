"""Every hash that a run is known by, of its files, its data and its weights, as SQL for questions that ask for one."""

from __future__ import annotations

# Outer runs that began after their session had read a file.
READ_BEFORE = (
    "JOIN runs AS o ON f.run_id IS NULL AND o.session_id = f.session_id AND o.parent_id IS NULL "
    "AND hh_micros(o.started_at) >= f.time"
)
# A subquery that gives `run_id`, `hash`, `what` (a word), `role`, `time`, `path` and `way` (`out`: the run made it).
HASHES = f"""(
SELECT run_id, sha256 AS hash, 'file' AS what, role, time, path, direction AS way FROM run_artifacts
UNION ALL SELECT run_id, sha256, 'file', function, time, path, 'in' FROM file_reads
  WHERE run_id IS NOT NULL AND sha256 IS NOT NULL
UNION ALL SELECT o.id, f.sha256, 'file', f.function, f.time, f.path, 'in' FROM file_reads AS f {READ_BEFORE}
  WHERE f.sha256 IS NOT NULL
UNION ALL SELECT x.run_id, d.id, 'data', x.role, x.time, NULL, 'in'
  FROM run_datasets AS x JOIN datasets AS d ON d.id = x.dataset_id
UNION ALL SELECT x.run_id, d.content_hash, 'data', x.role, x.time, NULL, 'in'
  FROM run_datasets AS x JOIN datasets AS d ON d.id = x.dataset_id WHERE d.content_hash IS NOT NULL
UNION ALL SELECT run_id, digest, 'data', part, time, NULL, 'in' FROM dataset_digests WHERE digest IS NOT NULL
UNION ALL SELECT run_id, digest, 'weights', point, time, NULL, 'out' FROM weights WHERE digest IS NOT NULL
)"""
# A subquery that gives the run and the path of each file.
FILES = f"""(
SELECT run_id, path FROM run_artifacts
UNION ALL SELECT run_id, path FROM file_reads WHERE run_id IS NOT NULL
UNION ALL SELECT o.id, f.path FROM file_reads AS f {READ_BEFORE}
)"""
# The aliases that point to the version `v`, as a JSON array.
LIVE_AS = (
    "(SELECT json_group_array(json_object('alias', alias, 'since', since, 'author', author, 'reason', reason)) "
    "FROM (SELECT * FROM live_versions WHERE version_id = v.id ORDER BY alias))"
)
# The name of the version `v`: where several have its number, all but the first with a part of the id.
VERSION_NAME = (
    "(v.model || '@' || v.number || CASE WHEN EXISTS (SELECT 1 FROM model_versions AS o WHERE o.model = v.model "
    "AND o.number = v.number AND (o.time, o.id) < (v.time, v.id)) THEN '·' || substr(v.id, -4) ELSE '' END)"
)
