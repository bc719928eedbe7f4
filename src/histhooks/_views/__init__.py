"""The views that terminal, notebook and report share. Imports `history` and below."""
