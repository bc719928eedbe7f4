"""The part of :class:`histhooks.History` that follows what led to something and what came of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from histhooks.errors import QueryError
from histhooks.history._artifacts import Artifact
from histhooks.history._run_rows import RunRows
from histhooks.history._version_rows import ModelVersion

if TYPE_CHECKING:
    from histhooks.history._reader import Reader
    from histhooks.history.lineage.content import Content
    from histhooks.history.lineage.graph import Lineage

_MOST_NODES = 5000


class Traced:
    """Where runs, files, data and models come from."""

    def lineage(
        self,
        of: str | os.PathLike[str] | RunRows | Artifact | ModelVersion = "last",
        *,
        depth: int = 6,
        limit: int = 200,
    ) -> Lineage:
        """What led to a run, a file, data or a version of a model, and what came of it.

        Links lead from data and files to the runs that used them, from runs to the files that they wrote, to the runs
        that resume, continue, fine-tune, repeat or use them and to the runs inside them, and from files to the versions
        of models that have their content. A file is its content: a copy is the same file.

        Parameters
        ----------
        of : str, path or record
            A version of a model such as `churn@3`; a run as for :meth:`run`; a file or a folder on this machine; a
            hash of a file or of data, or 6 digits or more of its beginning; or one of the records that stand for them.
        depth : int
            How many links to follow each way.
        limit : int
            Maximum number of nodes. What is left out is counted in `folds`.

        Returns
        -------
        Lineage

        Raises
        ------
        QueryError
            If the store knows no such thing, several hashes begin so, or a number is out of range.

        Examples
        --------
        >>> found = history.lineage("churn@1", depth=2)
        >>> [(node.kind, node.name) for node in found.nodes]
        [('version', 'churn@1'), ('file', 'model.pt'), ('run', 'train'), ('run', 'train')]
        """
        from histhooks.history.lineage.graph import FILE, RUN, VERSION
        from histhooks.history.lineage.roots import root_of
        from histhooks.history.lineage.walk import lineage_of

        if depth < 0:
            raise QueryError(f"depth is a number of links, 0 or more, not {depth}")
        if not 1 <= limit <= _MOST_NODES:
            raise QueryError(f"limit is a number of nodes from 1 to {_MOST_NODES:,}, not {limit}")
        reader = cast("Reader", self)
        if isinstance(of, RunRows):
            root = RUN, of.id
        elif isinstance(of, Artifact):
            root = FILE, of["sha256"]
        elif isinstance(of, ModelVersion):
            root = VERSION, of.id
        else:
            root = root_of(reader, os.fspath(of))
        return lineage_of(reader, *root, depth, limit)

    def content(self, id_or_sha256: str, *, kind: str | None = None, limit: int = 1000) -> Content:
        """One content, and the runs that touched it: data, a file, code or a session.

        Parameters
        ----------
        id_or_sha256 : str
            The id of data, of code or of a session, the SHA-256 of a file, or 6 characters or more of the beginning of
            one.
        kind : {'data', 'file', 'code', 'session'}, optional
            What it is; by default the first that has this id.
        limit : int
            Maximum number of `uses`, the latest first. `n_runs` counts all runs.

        Returns
        -------
        Content

        Raises
        ------
        QueryError
            If there is no such content, or several ids begin so.

        Examples
        --------
        >>> found = history.content(run.datasets[0]["id"])
        >>> found.kind, found.facts["n_rows"], [use.detail for use in found.uses]
        ('data', 3, ['train', 'train'])
        """
        from histhooks.history.lineage.content import KINDS, content

        if kind not in (None, *KINDS):
            raise QueryError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
        if limit < 0:
            raise QueryError(f"limit is 0 or more, not {limit}")
        return content(cast("Reader", self), id_or_sha256, kind, limit)
