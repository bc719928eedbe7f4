"""Tags and notes of a run, and calls under names that people know from other tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from histhooks._base.jsonable import is_mapping, shown
from histhooks._base.other_names import RUN, unknown
from histhooks._base.secrets import mask_text
from histhooks._base.values import items_of, text_of
from histhooks._record.metric_meanings import Meanings


class Familiar(Meanings):
    """The part of a :class:`histhooks.Run` for tags and notes, and for calls that MLflow has, too."""

    if TYPE_CHECKING:

        def log(self, metrics: Mapping[str, Any], *, step: int | None = None, epoch: int | None = None) -> None:
            """Record one point of each metric."""

    def log_param(self, key: str, value: Any) -> None:
        """Record one param; see :meth:`log_params`.

        Parameters
        ----------
        key : str
        value : object

        Examples
        --------
        >>> with histhooks.start_run() as run:
        ...     run.log_param("lr", 0.1)
        """
        self._try("log_param", self._log_one_param, key, value)

    def _log_one_param(self, key: str, value: Any) -> None:
        self._log_params({key: value}, "user", {})

    def log_metric(self, key: str, value: Any, step: int | None = None, *, epoch: int | None = None) -> None:
        """Record one point of one metric; see :meth:`log`.

        Parameters
        ----------
        key : str
        value : number
        step, epoch : int, optional
            0-based.

        Examples
        --------
        >>> with histhooks.start_run() as run:
        ...     run.log_metric("loss", 0.3, step=10)
        """
        self._try("log_metric", self._log_one_metric, key, value, step, epoch)

    def _log_one_metric(self, key: str, value: Any, step: int | None, epoch: int | None) -> None:
        self.log({key: value}, step=step, epoch=epoch)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None, *, epoch: int | None = None) -> None:
        """Record one point of each metric; the same as :meth:`log`.

        Parameters
        ----------
        metrics : mapping of str to number
        step, epoch : int, optional
            0-based.

        Examples
        --------
        >>> with histhooks.start_run() as run:
        ...     run.log_metrics({"loss": 0.3, "val_loss": 0.4}, step=10)
        """
        self.log(metrics, step=step, epoch=epoch)

    def tag(self, *pairs: Any, **tags: Any) -> None:
        """Tag a run: a key with a value, a word, several words, or a mapping.

        Parameters
        ----------
        *pairs : str, object, mapping or iterable of str
        **tags : object

        Examples
        --------
        >>> with histhooks.start_run() as run:
        ...     run.tag("team", "red")
        ...     run.tag(["baseline", "fast"])
        ...     run.tag(attempt=2)
        """
        self._try("tag", self._tag, pairs, tags)

    def _tag(self, pairs: tuple[Any, ...], tags: dict[str, Any]) -> None:
        given: list[tuple[Any, Any]] = []
        if len(pairs) == 1 and is_mapping(type(pairs[0])):
            given = list(items_of(pairs[0]))
        elif len(pairs) == 1 and isinstance(pairs[0], (list, tuple, set, frozenset)):
            given = [(word, "") for word in pairs[0]]
        elif pairs:
            given = [(pairs[0], pairs[1] if len(pairs) > 1 else "")]
        for key, value in [*given, *tags.items()]:
            if not isinstance(key, str) or not key:
                self._refuse("tag", ValueError(f"the name of a tag is a word, not {shown(key)}"))
                continue
            row = {"run_id": self.id, "session_id": self.session_id, "key": mask_text(key)}
            self._row("tags", {**row, "value": text_of(value, key), "author": self._author()})

    def note(self, text: str) -> None:
        """Leave a note on a run.

        Parameters
        ----------
        text : str

        Examples
        --------
        >>> with histhooks.start_run() as run:
        ...     run.note("the baseline for all that follow")
        """
        self._try("note", self._note, text)

    def _note(self, text: str) -> None:
        if text is None or not str(text).strip():
            raise ValueError(f"a note is some text, not {text!r}")
        row = {"run_id": self.id, "session_id": self.session_id, "body": mask_text(str(text))}
        self._row("notes", {**row, "author": self._author()})

    def set_tag(self, key: str, value: Any = "") -> None:
        """Set one tag; the same as ``tag(key, value)``.

        Parameters
        ----------
        key : str
        value : object

        Examples
        --------
        >>> with histhooks.start_run() as run:
        ...     run.set_tag("team", "red")
        """
        self.tag(key, value)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set several tags; the same as ``tag(tags)``.

        Parameters
        ----------
        tags : mapping of str to object

        Examples
        --------
        >>> with histhooks.start_run() as run:
        ...     run.set_tags({"team": "red", "attempt": 2})
        """
        self.tag(tags)

    if not TYPE_CHECKING:  # a type checker has words of its own

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(unknown("a run", name, RUN))
