"""Repeat a run from its record, and say how far the numbers are the same.

>>> from histhooks import reproduce
>>> plan = reproduce.plan(history.run("last"))
>>> plan.expected, [blocker.text for blocker in plan.blockers]
('bits', [])
>>> reproduce.execute(plan).level
'bits'

Nothing is run by reading: :func:`plan` looks, :func:`restore` writes files into a folder, and only :func:`execute` runs
the program, and so does :func:`bisect`.
"""

from __future__ import annotations

from histhooks.reproduce._bisect import Bisection, Trial, bisect
from histhooks.reproduce._execute import execute
from histhooks.reproduce._plan import Blocker, Plan, plan
from histhooks.reproduce._reproduction import Reproduction
from histhooks.reproduce._restore import restore

__all__ = ["Bisection", "Blocker", "Plan", "Reproduction", "Trial", "bisect", "execute", "plan", "restore"]
