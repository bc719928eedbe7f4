"""A session while it records, from the buffer to the file. Imports `_collect` and below, never what reads."""
