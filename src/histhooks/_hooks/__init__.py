"""Standing in functions of other packages, and waiting for their import. Imports `_host` and below."""
