"""The history of a team: stores of several machines and people as one, in a file or in PostgreSQL.

>>> from histhooks import team
>>> team.merge("ann.db", "bob.db", into="team.db").runs
2
"""

from __future__ import annotations

from histhooks.errors import ForkError, TeamError
from histhooks.team._evict import Evicted, evict
from histhooks.team._merge import merge
from histhooks.team._merged import Merged
from histhooks.team._pull import Pulled, pull
from histhooks.team._push import push
from histhooks.team._pushed import Pushed
from histhooks.team._status import Status
from histhooks.team._target import grant, init, revoke, status, upgrade

__all__ = [
    "Evicted",
    "ForkError",
    "Merged",
    "Pulled",
    "Pushed",
    "Status",
    "TeamError",
    "evict",
    "grant",
    "init",
    "merge",
    "pull",
    "push",
    "revoke",
    "status",
    "upgrade",
]
