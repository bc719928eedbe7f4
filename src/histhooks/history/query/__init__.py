"""Which runs: expressions, order, selectors, words, files."""
