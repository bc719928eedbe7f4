"""One module for each check: its rule as a pure function over facts of a run, and what a person should know of it.

A module is called as its check, `leak_rows` for `leak.rows`, and holds a :class:`Check` named `CHECK`.
"""
