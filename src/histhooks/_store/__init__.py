"""One file that is a store: its tables, its ledger, writing it, merging it. Imports `_hooks` and below."""
