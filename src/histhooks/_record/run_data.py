"""What a run was trained on, what it read and made, and how it relates to earlier runs: each by its content."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from histhooks._base.clock import now_us
from histhooks._base.jsonable import shown
from histhooks._base.names import masked_word
from histhooks._base.secrets import mask_text
from histhooks._base.values import dumps, key_text
from histhooks._record.run_facts import WORD, Facts
from histhooks._store.entries import content_entry, row_entry

# An import costs what it brings in: what only some runs need, the methods that need it import.
if TYPE_CHECKING:
    from histhooks._collect.file_hash import Found
    from histhooks._collect.known_data import KnownData
    from histhooks._collect.same_data import Print
    from histhooks._record.session import Session

# By the id of the run, as long as that run is at hand.
known_data: WeakValueDictionary[str, KnownData] = WeakValueDictionary()

_LINK_KINDS = ("resumes", "continues", "fine-tunes", "reproduces", "uses")
_DIRECTIONS = ("in", "out")


class DataFacts(Facts):
    """The part of a :class:`histhooks._record.run.Run` that knows data, files and models by their content.

    Parameters
    ----------
    session : Session or None
        Where nothing is recorded, none.
    """

    def __init__(self, session: Session | None) -> None:
        super().__init__(session)
        self._roles: set[str] = set()  # of data of which a capture is recorded
        self.is_use = False  # read a model, or had data that neither trains nor judges
        self.data: KnownData | None = None  # what the run was trained on and judged by, to know it again

    def log_dataset(
        self, role: str, X: Any, y: Any = None, *, name: str | None = None, source: str | None = None
    ) -> None:
        """Record a fingerprint of data; never its rows.

        Parameters
        ----------
        role : str
            `train`, `valid`, `test`, or what else it is for.
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), optional
        name, source : str, optional
            What the program calls it, and where it came from.
        """
        self._try("log_dataset", self._log_dataset, role, X, y, name, source)

    def _log_dataset(self, role: str, X: Any, y: Any, name: str | None, source: str | None) -> None:
        from histhooks._collect import fingerprint

        if not isinstance(role, str) or not role:
            raise ValueError(f"the role of data is a word, such as 'train', not {shown(role)}")
        found, seen = fingerprint.look_at(X, y)
        if role in ("train", "valid"):
            self.know(role, seen, X)
        elif role != "test":
            self.is_use = True
        self._log_fingerprint(role, found, name, source)

    def know(self, role: str, seen: Print, X: Any = None) -> None:
        """For integrations: keep in mind that the run trained on data, or was judged by it while it trained."""
        if self.data is None:
            from histhooks._collect.known_data import KnownData

            self.data = known_data[str(self.id)] = KnownData()
        self.data.add(role, seen)
        if role == "train":
            from histhooks._collect.row_hashes import Rows

            self.data.rows = self.data.rows or Rows()
            self.data.rows.add(X, seen.shape[0] if seen.shape else None, None if X is None else seen.values)

    def _log_fingerprint(self, role: str, found: dict[str, Any], name: str | None, source: str | None) -> None:
        from histhooks._collect import fingerprint

        dataset_id = self._content("datasets", found)
        words = {k: None if v is None else mask_text(key_text(v)) for k, v in (("name", name), ("source", source))}
        role = masked_word(role) if len(role) <= WORD else mask_text(role)
        row = {"run_id": self.id, "dataset_id": dataset_id, "role": role, **words}
        self._row("run_datasets", row)
        if role not in self._roles:
            self._roles.add(role)
            capture = fingerprint.capture_of(role, found)
            self._capture(capture.collector, capture.status, capture.note)

    def log_artifact(
        self, path: str | os.PathLike[str], *, role: str = "file", direction: str = "out", step: int | None = None
    ) -> None:
        """Record a file by its content hash; that of a file above 8 MiB is computed beside the program.

        Parameters
        ----------
        path : str or path
        role : str
            `model`, `checkpoint`, `file`, ...
        direction : {'out', 'in'}
            Written or read by the run.
        step : int, optional
            0-based step.
        """
        self._try("log_artifact", self._log_artifact, path, role, direction, step)

    def _log_artifact(self, path: str | os.PathLike[str], role: str, direction: str, step: int | None) -> None:
        from pathlib import Path

        from histhooks._collect.file_hash import with_hash

        if direction not in _DIRECTIONS:
            raise ValueError(f"direction is 'in' or 'out', not {direction!r}")
        if not Path(path).is_file():
            raise FileNotFoundError(f"no file {os.fspath(path)!r} to record")
        role = key_text(role)
        self.is_use = self.is_use or (direction == "in" and role == "model")
        step = None if step is None else self._whole("step", step)
        put, place, session = self.put, os.path.abspath(path), self._session

        def use(found: Found) -> None:
            if found is None:
                title = f"{place} was written again before its content was hashed"
                if session is not None:
                    session.event("not_hashed", title, severity="warning", step=step, run_id=self.id, put=put)
                return
            suffix = mask_text(Path(place).suffix.lstrip(".").lower()) or None
            put(content_entry("artifacts", {"sha256": found[0], "size_bytes": found[1], "format": suffix}))
            row = {"run_id": self.id, "sha256": found[0], "path": place, "role": role}
            put(row_entry("run_artifacts", self.id, {**row, "direction": direction, "step": step, "time": now}))

        now = now_us()
        with_hash(Path(place), use)

    def uses_only(self) -> bool:
        """Whether the run read a model, or data that is for something else than training, and trained nothing."""
        return self.is_use and (self.data is None or "train" not in self.data.prints)

    def link(
        self,
        kind: str,
        other_run_id: str | None,
        sha256: str | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        """Record how this run relates to an earlier one.

        Parameters
        ----------
        kind : str
            `resumes`, `continues`, `fine-tunes`, `reproduces` or `uses`.
        other_run_id : str or None
            None if the run is known by its file alone.
        sha256 : str, optional
            Hash of the file that leads from one to the other.
        path : str or path, optional
            That file itself; the hash of one above 8 MiB is computed beside the program.
        """
        self._try("link", self._link, kind, other_run_id, sha256, path)

    def _link(
        self, kind: str, other_run_id: str | None, sha256: str | None, path: str | os.PathLike[str] | None
    ) -> None:
        if kind not in _LINK_KINDS:
            raise ValueError(f"a link is one of {', '.join(_LINK_KINDS)}, not {kind!r}")
        earlier = known_data.get(str(other_run_id))
        if earlier is not None and kind in ("continues", "resumes", "fine-tunes"):
            self._go_on_from(earlier)
        other = None if other_run_id is None else mask_text(key_text(other_run_id))
        row: dict[str, Any] = {"run_id": self.id, "session_id": self.session_id, "kind": kind, "other_run_id": other}
        row |= {"sha256": sha256, "time": now_us()}
        if path is None:
            self.put(row_entry("run_links", self.id, row))
            return
        from pathlib import Path

        from histhooks._collect.file_hash import with_hash

        put = self.put  # a large file's hash may come after the end of the run

        def use(found: Found) -> None:
            if found is not None:
                put(row_entry("run_links", self.id, {**row, "sha256": found[0]}))

        with_hash(Path(path), use)

    def _go_on_from(self, earlier: KnownData) -> None:
        """A model that goes on was trained on what the run before it saw, too."""
        from histhooks._collect.known_data import KnownData

        if self.data is None:
            self.data = known_data[str(self.id)] = KnownData()
        if self.data is not earlier and self.data.earlier is None:
            self.data.earlier = earlier

    def log_architecture(
        self, framework: str, class_name: str, layers: Any, n_parameters: int | None, n_trainable: int | None
    ) -> None:
        """Record the shape of a model, once by content."""
        counts = {"n_parameters": n_parameters, "n_trainable": n_trainable}
        self._try("log_architecture", self._log_architecture, framework, class_name, layers, counts)

    def _log_architecture(self, framework: str, class_name: str, layers: Any, counts: dict[str, Any]) -> None:
        # What the table refuses would leave a run that refers to nothing.
        whole = {name: None if count is None else self._whole(name, count) for name, count in counts.items()}
        words = {"framework": mask_text(str(framework)), "class_name": mask_text(str(class_name))}
        row = {**words, **whole, "layers": dumps(layers, "")}
        self._state({"architecture_id": self._content("architectures", row)})
