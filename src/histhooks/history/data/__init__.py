"""Data by content as a store has it: digests, columns, overlaps, splits, transformers, and how two of them compare."""
