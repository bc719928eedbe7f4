"""Watch models that predict: what leaves the process are counts at the edges of the training data, never a row.

Imports `_record/` and what is below it; no framework, and nothing that reads a history.
"""
