"""What a box keeps of each push: who, when, from which store, and which lines; chained for each store.

Nobody is authenticated by a folder: `pushed_by` is the account as the machine of the one who pushed has it. A receipt
shows that lines were there; it does not show who took them away.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from histhooks._base.clock import iso, now_us
from histhooks._base.version import __version__
from histhooks._store.ledger import canonical
from histhooks.team._pushed import Pushed
from histhooks.team.box.places import Gone, Place

FORM = "histhooks-receipt-1"
RECEIPTS = "receipts"
_NAME = re.compile(rf"{RECEIPTS}/([^/]+)/(\d+)-([0-9a-f]{{12}})\.json")
_FACTS = ("seq", "pushed_by", "pushed_at", "store_id", "recorder_version", "n_rows", "heads", "previous")


def who() -> str:
    """The account and the machine, as it says itself."""
    import getpass
    import socket

    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError, ImportError):
        return socket.gethostname()


def digest_of(receipt: dict[str, Any]) -> str:
    """The digest of a receipt."""
    return hashlib.sha256(canonical([FORM, *(receipt[name] for name in _FACTS)])).hexdigest()


def leave(place: Place, store_id: str, sent: dict[str, tuple[int, str]], done: Pushed) -> None:
    """Leave a receipt for the lines that a push brought, if it brought any.

    Parameters
    ----------
    place : Place
    store_id : str
    sent : dict of str to (int, str)
        The last line of each session.
    done : Pushed
        Gets the receipt.
    """
    if not sent:
        return
    before = _last(place, store_id)
    seq, previous = (before["seq"] + 1, before["digest"]) if before else (0, None)
    receipt = {
        "seq": seq, "pushed_by": who(), "pushed_at": iso(now_us()), "store_id": store_id,
        "recorder_version": __version__, "n_rows": done.rows,
        "heads": [[session_id, *head] for session_id, head in sorted(sent.items())], "previous": previous,
    }  # fmt: skip
    digest = digest_of(receipt)
    text = json.dumps({**receipt, "digest": digest}, indent=1)
    place.write(f"{RECEIPTS}/{store_id}/{seq}-{digest[:12]}.json", text.encode(), replace=False)
    done.receipt = {"seq": seq, "digest": digest}


def _last(place: Place, store_id: str) -> dict[str, Any] | None:
    """The latest receipt of a store that can be read."""
    matches = filter(None, map(_NAME.fullmatch, place.files(f"{RECEIPTS}/{store_id}")))
    for name in (name for _, name in sorted({(int(found[2]), found[0]) for found in matches}, reverse=True)):
        try:
            found = json.loads(place.read(name))
            if isinstance(found, dict) and {"seq", "digest"} <= found.keys():
                return found
        except (Gone, ValueError):
            continue
    return None


def all_of(place: Place, names: Iterable[str]) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """All receipts in a box by name, None for one that cannot be read."""
    for name, data in place.read_all(sorted(name for name in names if _NAME.fullmatch(name))):
        try:
            found = json.loads(data or b"")
            yield name, found if isinstance(found, dict) and {*_FACTS, "digest"} <= found.keys() else None
        except ValueError:
            yield name, None


def problems(place: Place, names: Iterable[str], lines: dict[tuple[str, int], str]) -> Iterator[str]:
    """What receipts say was pushed and is not there as it was.

    Parameters
    ----------
    place : Place
    names : iterable of str
        All files in the box.
    lines : dict of (session id, seq) to str
        Digests of the lines that the box has.
    """
    digests: dict[str, set[str]] = {}
    chained: dict[str, dict[int, list[str | None]]] = {}
    for name, receipt in all_of(place, names):
        if receipt is None or digest_of(receipt) != receipt["digest"]:
            yield f"receipt {name.removeprefix(f'{RECEIPTS}/')} was changed"
            continue
        store_id, seq = receipt["store_id"], receipt["seq"]
        digests.setdefault(store_id, set()).add(receipt["digest"])
        chained.setdefault(store_id, {}).setdefault(seq, []).append(receipt["previous"])
        witness = f"receipt {seq} of store {store_id} ({receipt['pushed_at']} by {receipt['pushed_by']})"
        for session_id, number, digest in receipt["heads"]:
            found = lines.get((session_id, number))
            if found is None:
                yield f"session {session_id}: line {number} is gone, which {witness} witnessed"
            elif found != digest:
                yield f"session {session_id}: line {number} is not the one that {witness} witnessed"
    for store_id, by_seq in sorted(chained.items()):
        for seq in range(max(by_seq) + 1):
            if seq not in by_seq:
                yield f"receipt {seq} of store {store_id} is missing"
            elif any(seq and previous not in digests[store_id] for previous in by_seq[seq]) and seq - 1 in by_seq:
                yield f"receipt {seq} of store {store_id} does not follow the one before it"
