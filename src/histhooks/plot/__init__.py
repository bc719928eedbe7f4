"""Curves of runs: in the terminal, as a picture, as a page, and as small as a word."""

from __future__ import annotations

from histhooks.plot._spark import spark_svg

__all__ = ["spark_svg"]
