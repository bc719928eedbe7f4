"""Runs as a list that a notebook shows as a table."""

from __future__ import annotations

from histhooks.history._records import RunRecord
from histhooks.history._shown import Shown


class Runs(Shown, list[RunRecord]):
    """A list of runs like any other."""
