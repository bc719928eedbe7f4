"""Wrap functions of other packages, and wait for their import. Imports `_host` and below."""
