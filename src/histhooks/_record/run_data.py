"""What a run was trained on, what it read and made, and how it relates to earlier runs: each by its content."""

from __future__ import annotations

import json
import math
import os
import sys
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from histhooks._base.clock import now_us
from histhooks._base.jsonable import shown
from histhooks._base.names import masked_word
from histhooks._base.secrets import mask_text
from histhooks._base.values import dumps, key_text
from histhooks._host.store_location import data_mode
from histhooks._record.run_facts import WORD, Facts
from histhooks._store.entries import row_entry

# An import costs what it brings in: what only some runs need, the methods that need it import.
if TYPE_CHECKING:
    from histhooks._collect.file_hash import Found
    from histhooks._collect.known_data import KnownData
    from histhooks._collect.passing import Passing
    from histhooks._collect.same_data import Print
    from histhooks._collect.weights import Source, Weights
    from histhooks._record.held_data import HeldData
    from histhooks._record.run_looks import RunLooks
    from histhooks._record.session import Session

# By the id of the run, as long as that run is at hand.
known_data: WeakValueDictionary[str, KnownData] = WeakValueDictionary()

_WAITS_S = 5.0  # that large data of a block is held until there is time to look at it
_LINK_KINDS = ("resumes", "continues", "fine-tunes", "reproduces", "uses")
_DIRECTIONS = ("in", "out")
_SECRET = 16  # letters and digits at least that a secret is known by


class DataFacts(Facts):
    """The part of a :class:`histhooks._record.run.Run` that knows data, files and models by their content.

    Parameters
    ----------
    session : Session or None
        Where nothing is recorded, none.
    """

    project = ""
    status = ""
    begun_s = 0.0

    def __init__(self, session: Session | None) -> None:
        super().__init__(session)
        self._roles: set[str] = set()  # of data of which a capture is recorded
        self.is_use = False  # read a model, or had data that neither trains nor judges
        self.data: KnownData | None = None  # what the run was trained on and judged by, to know it again
        self.looks: RunLooks | None = None  # its data by content
        self._of_role: dict[str, dict[str, Any]] = {}  # the latest fingerprint
        self._passing: dict[tuple[str, str], Passing] = {}

    def log_dataset(
        self,
        role: str,
        X: Any,
        y: Any = None,
        *,
        name: str | None = None,
        source: str | None = None,
        groups: Any = None,
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
        groups : array-like of shape (n_samples,), optional
            Which rows belong together, as patients or users: how many rows of validation and test data are of a group
            of the training data is counted by keyed hashes.
        """
        self._try("log_dataset", self._log_dataset, role, X, y, name, source, groups)

    def _log_dataset(self, role: str, X: Any, y: Any, name: str | None, source: str | None, groups: Any) -> None:
        from histhooks._collect import fingerprint

        if not isinstance(role, str) or not role:
            raise ValueError(f"the role of data is a word, such as 'train', not {shown(role)}")
        found, seen = fingerprint.look_at(X, y)
        if role in ("train", "valid"):
            self.know(role, seen, X)
        elif role != "test":
            self.is_use = True
        is_read = self._look_at(role, found, X, y, groups=groups)
        self._of_role[role] = found
        self._log_fingerprint(role, found, name, source, is_read=is_read)

    def log_held(self, role: str, stand_in: Any, held: Any, name: str | None = None) -> None:
        """For integrations: record data of which no more than a stand-in is at hand, and which was held before.

        Parameters
        ----------
        role : str
        stand_in : object
            Has the shape of the data, and what else is known of it.
        held : HeldData
        name : str, optional
        """
        self._try("log_dataset", self._log_held, role, stand_in, held, name)

    def _log_held(self, role: str, stand_in: Any, held: HeldData, name: str | None) -> None:
        from histhooks._collect import fingerprint

        found, seen = fingerprint.look_at(stand_in)
        if role in ("train", "valid"):
            self.know(role, seen, stand_in)
        found = fingerprint.with_content(found, held.coverage, held.content_hash)
        self._look_at(role, found, None, None, piece=held.piece)
        self._log_fingerprint(role, found, name, None)

    def know(self, role: str, seen: Print, X: Any = None) -> None:
        """For integrations: keep in mind that the run trained on data, or was judged by it while it trained."""
        if self.data is None:
            from histhooks._collect.known_data import KnownData

            self.data = known_data[str(self.id)] = KnownData()
        self.data.looks = self.looks
        self.data.add(role, seen)
        if role == "train":
            from histhooks._collect.row_hashes import Rows

            self.data.rows = self.data.rows or Rows()
            given = X if data_mode() != "off" else None
            self.data.rows.add(given, seen.shape[0] if seen.shape else None, None if given is None else seen.values)

    def _look_at(
        self,
        role: str,
        found: dict[str, Any],
        X: Any,
        y: Any,
        against: KnownData | None = None,
        piece: Any = None,
        groups: Any = None,
    ) -> bool:
        """Have the values of data looked at, beside the program; whether they can be read."""
        if data_mode() != "full" or self._session is None or "numpy" not in sys.modules:
            return False
        if self.looks is None:
            from histhooks._record.run_looks import RunLooks

            waits_s = math.inf if self.is_implicit else _WAITS_S
            self.looks = RunLooks(self._session, str(self.id), self.project, self.begun_s, waits_s=waits_s)
            if self.data is not None:
                self.data.looks = self.looks
        before = [] if self.data is None else self.data.looks_before()
        others = [] if against is None else [against.looks, *against.looks_before()]
        known = [looks for looks in (*before, *others) if looks is not None]
        is_going_on = self.status == "running"
        return self.looks.add(self.put, role, found, X, y, known, piece, is_going_on=is_going_on, groups=groups)

    def log_passing(self, role: str, passing: Passing) -> None:
        """For integrations: record the first batches of data that was logged before, where it is not read whole.

        Parameters
        ----------
        role : str
        passing : Passing
            What hashes them; its digest is recorded when it is over, or with the end of the run.
        """
        self._try("log_dataset", self._log_passing, role, passing)

    def _log_passing(self, role: str, passing: Passing) -> None:
        from histhooks._record.passed_batches import record

        found = self._of_role.get(role)
        if found is not None and self._session is not None and (role, found["id"]) not in self._passing:
            self._passing[role, found["id"]] = passing
            record(self, role, found, passing)

    def let_go_of_data(self) -> None:
        """The call that data was given to ends: what is no copy of it is not read any more."""
        for passing in list(self._passing.values()):  # threads of the program may give it more
            if not passing.is_over:
                passing.end()
        if self.looks is not None:
            self.looks.let_go()

    def _log_fingerprint(
        self, role: str, found: dict[str, Any], name: str | None, source: str | None, *, is_read: bool = False
    ) -> None:
        from histhooks._collect import fingerprint

        dataset_id = self._content("datasets", found)
        words = {k: None if v is None else mask_text(key_text(v)) for k, v in (("name", name), ("source", source))}
        role = masked_word(role) if len(role) <= WORD else mask_text(role)
        row = {"run_id": self.id, "dataset_id": dataset_id, "role": role, **words}
        self._row("run_datasets", row)
        if role not in self._roles and not (is_read and found["coverage"] == "none"):
            self._roles.add(role)
            capture = fingerprint.capture_of(role, found)
            self._capture(capture.collector, capture.status, capture.note)

    def log_artifact(
        self,
        path: str | os.PathLike[str],
        *,
        role: str = "file",
        direction: str = "out",
        step: int | None = None,
        keep: bool | None = None,
    ) -> None:
        """Record a file or a folder by its content hash, and keep a copy of it if that is asked for.

        What is above 8 MiB is read beside the program. A folder is known by its manifest: the paths, sizes and hashes
        of its files (docs/guide/artifacts.md).

        Parameters
        ----------
        path : str or path
        role : str
            `model`, `checkpoint`, `file`, ...
        direction : {'out', 'in'}
            Written or read by the run.
        step : int, optional
            0-based step.
        keep : bool, optional
            Whether the bytes are copied beside the store, into `<store>.files/`. By default, models and checkpoints
            that the run writes are if `autolog(keep_models=True)` or `HISTHOOKS_KEEP_MODELS` says so, and nothing else.
        """
        self._try("log_artifact", self._log_artifact, path, role, direction, step, keep)

    def _log_artifact(
        self, path: str | os.PathLike[str], role: str, direction: str, step: int | None, keep: bool | None
    ) -> None:
        from histhooks._record.artifacts import record

        if direction not in _DIRECTIONS:
            raise ValueError(f"direction is 'in' or 'out', not {direction!r}")
        role = key_text(role)
        step = None if step is None else self._whole("step", step)
        record(
            self._session, self.session_id, str(self.id), self.put, os.fspath(path), role, direction, step, keep=keep
        )
        self.is_use = self.is_use or (direction == "in" and role == "model")

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

    def log_weights(self, point: str, weights: Weights | Source, *, step: int | None = None) -> None:
        """For integrations: record the weights of the model by their content, at one point of the training.

        Parameters
        ----------
        point : str
            `start`, `end`, `best` or `saved`.
        weights : Weights or callable
            As they were read (:func:`histhooks._collect.weights.read`), or what gives the tensors that are read now.
        step : int, optional
            0-based step.
        """
        self._try("log_weights", self._log_weights, point, weights, step)

    def _log_weights(self, point: str, weights: Weights | Source, step: int | None) -> None:
        from histhooks._collect.weights import ALGORITHM, MOST_NAMED, Unreadable, read

        try:
            found = read(weights()) if callable(weights) else weights
        except Unreadable as why:
            self._capture("weights", "skipped", f"not recorded at the {point}: {why}")
            return
        if found is None:
            return
        names = {masked_name(part.name): part.digest[:12] for part in found.parts[:MOST_NAMED]}
        row: dict[str, Any] = {"run_id": self.id, "point": point, "n_tensors": found.n_tensors}
        row |= {"n_values": found.n_values, "nonfinite": found.nonfinite, "l2": found.l2, "digest": found.digest}
        row |= {"algorithm": ALGORITHM, "tensors": json.dumps(names, separators=(",", ":"))}
        self._row("weights", {**row, "step": None if step is None else self._whole("step", step)})
        if len(found.parts) > MOST_NAMED:
            note = f"the digest is that of {len(found.parts)} tensors, of which the first {MOST_NAMED} are named"
            self._capture("weights", "truncated", note)


def masked_name(name: str) -> str:
    """The name of a tensor; words such as those of `layers.0.weight` are no secret by their shape."""
    words = name.split(".")
    is_plain = name.isascii() and all(word.isidentifier() or word.isdigit() for word in words)
    if is_plain and all(len(word) < _SECRET or word.isalpha() for word in words):
        return name
    return masked_word(name)
