"""Base of the objects that a notebook shows as HTML."""

from __future__ import annotations


class Shown:
    """A base for what a notebook shows; :mod:`histhooks._views.notebook` draws it when a notebook asks."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from histhooks._views.notebook import html

        return html(self)
