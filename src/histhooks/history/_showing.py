"""The part of a history and of a run that a person looks at in a browser or a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from histhooks.ui._showing import Frame


class Showing:
    """What has a page of its own."""

    __slots__ = ()

    def show(self, *, height: int = 560) -> Frame:
        """Its page of `histhooks ui`, live: in a notebook below the cell, elsewhere at the address that is returned.

        The pages are served by a process of their own, which ends with this one. A saved notebook keeps the table.

        Parameters
        ----------
        height : int, pixels
            Of the frame in a notebook.

        Returns
        -------
        Frame
            With `url`; a notebook shows it.

        Raises
        ------
        HisthooksError
            If the extra `ui` is not installed, or its server does not start.

        Examples
        --------
        >>> page = history.show()
        >>> page.url.startswith("http://127.0.0.1:")
        True
        """
        from histhooks.ui._showing import show

        return show(self, height)
