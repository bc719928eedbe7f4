"""The best value of a metric ``metric_summaries AS m`` as SQL: the rule of :mod:`histhooks.history._ranking`.

If the best value is a single point, the summary has it, and SQLite needs no Python. Only for a mean does `hh_best` read
points. A test compares this with the rule.
"""

from __future__ import annotations

SEVERAL, MANY = 2, 8
FROM = 20

_LEAST = f"CASE WHEN m.split IS NULL OR m.split = 'train' THEN {SEVERAL} ELSE {MANY} END"
FIRST_EPOCH = "SELECT p.epoch FROM points AS p WHERE p.series = m.series AND p.epoch IS NOT NULL ORDER BY p.n LIMIT 1"
_N_EPOCHS = f"max(1, m.last_epoch - coalesce(({FIRST_EPOCH}), m.last_epoch) + 1)"
_IS_POINT = (
    f"CASE WHEN m.split = 'system' OR m.count < {SEVERAL} THEN TRUE "
    f"WHEN m.last_epoch IS NOT NULL THEN m.count < {_LEAST} OR m.count < {_N_EPOCHS} * {_LEAST} "
    f"WHEN m.count < {FROM} OR (m.split IS NOT NULL AND m.split <> 'train') THEN TRUE "
    "ELSE NOT EXISTS (SELECT 1 FROM runs AS q WHERE q.id = m.run_id AND q.kind = 'loop' AND q.framework = 'torch') END"
)
_POINT = "CASE m.direction WHEN 1 THEN m.max WHEN -1 THEN m.min END"
BEST = f"CASE WHEN {_POINT} IS NULL THEN NULL WHEN {_IS_POINT} THEN {_POINT} ELSE hh_best(m.run_id, m.name) END"
# It lies between the least and the greatest point, but for what the sum of a mean is rounded by.
_IS_RANKED = "m.direction <> 0 AND m.min IS NOT NULL"
_ROUNDED = "1e-9 * max(abs(m.min), abs(m.max))"
BOUNDS = (f"CASE WHEN {_IS_RANKED} THEN m.min - {_ROUNDED} END", f"CASE WHEN {_IS_RANKED} THEN m.max + {_ROUNDED} END")
