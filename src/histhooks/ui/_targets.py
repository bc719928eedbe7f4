"""What has to fit where a target of a team is shown: nobody annotates it, and no login that may do anything asks it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from histhooks._host.store_location import is_target
from histhooks.errors import HisthooksError
from histhooks.team.postgres.address import is_database
from histhooks.team.postgres.login import check_login

WRITES_NOT = "pages of a target only show: leave out --write, and annotate with histhooks pull, tag or note, and push"


def check_targets(stores: Sequence[Any], *, write: bool, by_identity: bool) -> None:
    """Refuse what does not fit targets of a team, and warn of a login that may do too much.

    Raises
    ------
    HisthooksError
        If the pages were to annotate one, or one cannot be reached.
    """
    for word in (word for word in stores if isinstance(word, str) and is_target(word)):
        if write:
            raise HisthooksError(WRITES_NOT)
        if by_identity and is_database(word):
            for line in check_login(word):
                warnings.warn(line, stacklevel=3)
