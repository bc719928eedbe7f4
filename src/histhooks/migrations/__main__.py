"""``python -m histhooks.migrations`` prints the schema; with a path, brings that store up to date."""

import sys

from histhooks.migrations import migrate, schema_sql

if len(sys.argv) > 1:
    migrate(sys.argv[1])
else:
    sys.stdout.write(schema_sql())
