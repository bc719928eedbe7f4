"""The programs that ``histhooks demo`` runs, one for each framework, as anyone writes them."""
