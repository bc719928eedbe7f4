"""Files that were kept, given as they are: only with `--files`, and never for a browser to show."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from starlette.responses import Response, StreamingResponse

from histhooks._store.kept_files import digest_of, find
from histhooks.history._artifacts import by_hash
from histhooks.ui._others import sorry

if TYPE_CHECKING:
    from histhooks.ui._pages import Ask

_CHUNK = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


def kept_file(ask: Ask) -> Response:
    """A kept file by its content. Its digest is computed again: what is not what was recorded is not given."""
    digest = ask.words["sha256"]
    if not _DIGEST.fullmatch(digest):
        return sorry(ask, 404, "a kept file has the 64 digits of its SHA-256 as its name")
    if not ask.may_take:
        return sorry(ask, 403, "this server gives no files; start it with --files")
    known = by_hash(ask.history, digest)
    place = find(ask.history.beside, digest) if known is not None else None
    if known is None or place is None:
        return sorry(ask, 404, "no copy of this content was kept; it may lie where it was written")
    try:
        file = open(place, "rb")  # noqa: SIM115, closed when all of it is sent
    except OSError as error:
        return sorry(ask, 503, f"the copy cannot be read ({error.strerror})")
    if digest_of(file) != digest:
        file.close()
        return sorry(ask, 503, "the copy is not what was recorded; histhooks verify says more")
    file.seek(0)
    headers = {
        "content-disposition": f'attachment; filename="{_name_of(known.name)}"',
        "content-length": str(os.fstat(file.fileno()).st_size),
    }
    return StreamingResponse(_parts(file), 200, headers, "application/octet-stream")


def _name_of(name: str) -> str:
    """The name under which a browser saves it."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).lstrip(".-") or "file"


def _parts(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while part := file.read(_CHUNK):
            yield part
