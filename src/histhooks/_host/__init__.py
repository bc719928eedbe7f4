"""The program and the machine that histhooks is a guest in. Imports `_base`."""
