"""The store that is pushed, as of one moment, and whether its rows are known to fit its ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from histhooks._host.store_location import user_folder
from histhooks._store.spools import waiting
from histhooks.history._opening import open_store
from histhooks.team._merge import united
from histhooks.team._outgoing import Outgoing
from histhooks.team._pushed import Pushed
from histhooks.team._workplace import workplace
from histhooks.verify._opening import state_of


def state_of_store(path: Path) -> str:
    """What changes when somebody writes to a store or to a spool beside it."""
    files = [path, path.with_name(path.name + "-wal"), *waiting(path)]
    return repr([(str(file), *state_of(file)) for file in files if file.exists()])


def _memory(path: Path) -> Path | None:
    folder = user_folder("XDG_STATE_HOME", ".local/state")
    name = hashlib.sha256(str(path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:20]
    return None if folder is None else folder / "pushed" / name


def was_verified(path: Path, state: str) -> bool:
    """Whether nobody wrote to a store since its rows were seen to fit its ledger."""
    place = _memory(path)
    try:
        return place is not None and place.read_text(encoding="utf-8") == state
    except OSError:
        return False


def remember(path: Path, state: str) -> None:
    """Spare the next push to read all rows again, where a file of this user can say so."""
    place = _memory(path)
    if place is not None:
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(state, encoding="utf-8")


@contextmanager
def read_store(path: Path, done: Pushed, others: Sequence[Path] = ()) -> Iterator[Outgoing]:
    """A store as of now; where spools wait beside it, a copy that has all of them.

    Parameters
    ----------
    path : Path
    done : Pushed
        Gets what of the spools does not fit.
    others : sequence of Path
        Stores whose tombstones hold too: then it is a copy that has these.
    """
    with ExitStack() as stack:
        source = path
        if waiting(path) or others:
            folder = stack.enter_context(workplace(None))
            source = folder / "whole.db"
            _, union = united((path, *others), folder / "target.db", source, folder)
            done.forks += [
                {"session_id": key, "what": clash.what, "seq": clash.seq, "digests": list(clash.digests)}
                for key, (clash, _) in sorted(union.forks.items())
            ]
            done.left_out += [
                {"what": f"session {key}", "why": f"ledger lines {first} to {last} are not here"}
                for key, (first, last) in sorted(union.missing.items())
            ]
        opened = stack.enter_context(closing(open_store(source)))
        opened.connection.execute("BEGIN")
        yield Outgoing(opened.connection)
