"""Evidence for others: signatures, witnesses, and packs that anyone can verify without histhooks.

>>> from histhooks import evidence
>>> keys = evidence.keygen()
>>> evidence.sign("head", meaning="reviewed").key_id == keys.id
True
>>> evidence.pack("last", "last.zip", sign=True).key_id == keys.id
True

docs/guide/evidence.md shows what each of these proves, and what it does not. Signing needs cryptography:
``pip install 'histhooks[sign]'``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from histhooks.evidence._keys import Keys, keygen
from histhooks.evidence._signing import Signature, sign

if TYPE_CHECKING:
    from histhooks.evidence._pack import Pack, pack
    from histhooks.evidence._verifying import PackReport, verify_pack
    from histhooks.evidence._witness import Witness, witness

__all__ = ["Keys", "Pack", "PackReport", "Signature", "Witness", "keygen", "pack", "sign", "verify_pack", "witness"]

# Loaded on first use: a key is made, and a head signed, without what writes packs.
_LATE = {
    "Pack": "_pack", "pack": "_pack", "PackReport": "_verifying", "verify_pack": "_verifying", "Witness": "_witness",
    "witness": "_witness",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(importlib.import_module(f"histhooks.evidence.{_LATE[name]}"), name)
    raise AttributeError(f"module 'histhooks.evidence' has no attribute {name!r}")
