"""What led to a run, a file, data or a version of a model, and what came of it."""
