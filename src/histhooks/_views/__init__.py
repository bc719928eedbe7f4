"""How a record looks, for every face: terminal, notebook, report. Imports `history` and below."""
