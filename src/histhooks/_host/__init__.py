"""The program and the machine that histhooks runs in. Imports `_base`."""
