"""Pure functions and words: no environment, no file, no thread. Imports the standard library only."""
