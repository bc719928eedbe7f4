"""Identifiers that sort by time and never touch a program's random streams."""

import os
import time


def new_id() -> str:
    """Make a UUIDv7 (RFC 9562, section 5.7) from the clock and the operating system's randomness.

    The 12 bits after the version hold the fraction of the millisecond (section 6.2, method 3), so identifiers made
    one after the other sort in that order if they are at least a quarter of a microsecond apart.

    Returns
    -------
    str
        36 characters.
    """
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (nanoseconds << 12) // 1_000_000 << 64
    value |= int.from_bytes(os.urandom(8), "big")
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def short_id(identifier: str) -> str:
    """The random tail by which people name a run.

    Parameters
    ----------
    identifier : str
        A UUIDv7.

    Returns
    -------
    str
        8 characters.
    """
    return identifier[-8:]
