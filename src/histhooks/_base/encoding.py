"""Write JSON fast: one C encoder for all calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def encoder_of(encoder: json.JSONEncoder) -> Callable[[Any], str]:
    """What writes JSON as an encoder does: its ``encode`` makes a new encoder in C for each call, here is one for all.

    Where Python was built without that encoder, it is the method itself. Values that hold themselves are none of JSON:
    they raise RecursionError here.
    """
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None or encoder.indent is not None:
        return encoder.encode
    words = json.encoder.encode_basestring_ascii if encoder.ensure_ascii else json.encoder.encode_basestring
    write = make(
        None, encoder.default, words, None, encoder.key_separator, encoder.item_separator, encoder.sort_keys,
        encoder.skipkeys, encoder.allow_nan,
    )  # fmt: skip
    return lambda value: "".join(write(value, 0))
