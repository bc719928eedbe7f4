"""A store file: its tables, its ledger, writing and merging. Imports `_hooks` and below."""
