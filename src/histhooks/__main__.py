"""The command line: ``histhooks`` and ``python -m histhooks``."""

from histhooks.cli import main

if __name__ == "__main__":
    main()
