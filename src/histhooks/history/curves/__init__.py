"""The points of runs: whole, thinned, as tables, over attempts, and as they come."""
