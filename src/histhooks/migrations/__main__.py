"""``python -m histhooks.migrations`` prints the schema; with a path, brings that store up to date."""

import sqlite3
import sys

from histhooks._store.connection import is_busy
from histhooks._store.upgrade import BUSY
from histhooks.errors import StoreError
from histhooks.migrations import migrate, schema_sql

if len(sys.argv) > 1:
    try:
        migrate(sys.argv[1])
    except sqlite3.Error as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(BUSY if is_busy(error) else 1)
    except StoreError as error:
        sys.exit(str(error))
else:
    sys.stdout.write(schema_sql())
