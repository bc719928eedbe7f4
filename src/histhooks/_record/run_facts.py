"""What is said of a run once, beside its curves: params, results, tags, notes, events, optimizers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import now_us
from histhooks._base.exceptions import (
    answer,
    code_of,
    in_words,
    is_interrupt,
    is_of_program,
    message_of,
    name_of,
    traceback_of,
)
from histhooks._base.ids import new_id
from histhooks._base.jsonable import shown
from histhooks._base.names import masked_word
from histhooks._base.secrets import mask_text
from histhooks._base.settings_objects import as_mapping
from histhooks._base.values import as_whole, dumps, flatten, items_of, key_text, what_was_cut, what_was_unread
from histhooks._host.messages import warn_once
from histhooks._host.store_location import is_strict
from histhooks._record.session import Recorded
from histhooks._store.entries import capture_entry, content_entry, params_entry, row_entry, state_entry
from histhooks._store.params import told_before

# An import costs what it brings in: what only some runs need, the methods that need it import.
if TYPE_CHECKING:
    from histhooks._record.session import Session

MOST = (1 << 63) - 1  # what a column of SQLite holds
# What a hook reads off objects of the program; what they raise is no misuse of a call.
_COLLECTORS = {"log_params": "params", "log_results": "results", "log_dataset": "data"}
_MISSING = 20  # rows of one collector in one run that name what could not be read
_REFUSALS = 100  # of one run that are reported one by one
_MOST_NAMED = 5
# Characters of an error that are kept.
_MESSAGE = 10_000
_TRACEBACK = 50_000
WORD = 100  # characters, up to which what came of masking is kept
_SEEDS = ("random_state", "seed")
_BY_HOOKS = ("end", "update", "missing", "capture")  # what no program calls
_COLUMNS = frozenset(
    "session_id parent_id project group_name name kind framework framework_version model_class call_site status "
    "started_at ended_at duration_s error_type error_message traceback architecture_id main_metric epochs_planned "
    "epochs_done steps_done".split()
)


def columns_of_error(error: BaseException) -> dict[str, str]:
    """What `runs` says of the exception that ended a run."""
    kind = type(error)
    if issubclass(kind, KeyboardInterrupt):
        return {}
    if issubclass(kind, SystemExit):
        code = code_of(error)
        text = answer("<its code cannot be read>", str, code)
        return {"error_type": "SystemExit", "error_message": mask_text(text[: 2 * _MESSAGE])[:_MESSAGE]}
    return masked({"error_type": name_of(error), "error_message": message_of(error), "traceback": traceback_of(error)})


def masked(facts: dict[str, Any]) -> dict[str, Any]:
    """Columns of `runs` with the texts of an error without their secrets, and cut."""
    if "error_message" in facts:
        facts = {**facts, "error_message": mask_text(facts["error_message"])[:_MESSAGE]}
    if "traceback" in facts:
        facts = {**facts, "traceback": mask_text(facts["traceback"])[-_TRACEBACK:]}
    return facts


class Facts(Recorded):
    """The part of a :class:`histhooks._record.run.Run` that needs no clock and no curve.

    Parameters
    ----------
    session : Session or None
        Where nothing is recorded, none.
    """

    is_implicit = False
    main_metric: str | None = None

    def __init__(self, session: Session | None) -> None:
        super().__init__(session.buffer.append if session is not None else None)
        self._session = session
        self.is_recorded = session is not None
        self.id = new_id() if session is not None else None
        self.session_id: str | None = session.id if session is not None else None
        self.states_at_start = {}
        self._n_refused = 0
        self._n_missing: dict[str, int] = {}
        self._told: Callable[..., None] | None = None  # in a forked child: records an event there
        self.owner: int | None = None  # in a forked child: the process whose run it is
        self._is_told = False

    def log_params(self, params: Any, *, source: str = "user", defaults: Mapping[str, Any] | None = None) -> None:
        """Record params; nested ones flatten with dots.

        Parameters
        ----------
        params : mapping of str to object, argparse.Namespace, or dataclass
        source : str
            Who chose them: `argument`, `default`, `resolved`, `user`, ...
        defaults : mapping of str to object, optional
            Of the same shape: what is as it is here gets source `default`.

        Examples
        --------
        >>> with histhooks.start_run() as run:
        ...     run.log_params({"lr": 0.1, "optimizer": {"name": "sgd"}})
        """
        self._try("log_params", self._log_params, params, source, defaults or {})

    def _log_params(self, params: Mapping[str, Any], source: str, defaults: Mapping[str, Any]) -> None:
        if params.__class__ is dict:
            params = dict(params)  # a thread of the program may change it meanwhile
        known = None if defaults else told_before(params, source)
        params = as_mapping(params) if known is None and source == "user" else params
        if known is not None and known.rows is not None:
            self._put_params(known.rows)
            for key, text in known.seeds:
                self._log_seed(key, None, text)
            return
        usual = {key: dumps(value, key) for key, value in flatten(defaults).items()}
        cut: list[str] = []
        rows: list[tuple[str, str, str]] = []
        is_whole = True
        try:
            for key, value in flatten(params).items():
                if not key:
                    is_whole = False
                    self._refuse("log_params", ValueError("the name of a param is empty"))
                    continue
                try:
                    self._log_param(key, value, source, usual, cut, rows)
                except BaseException as error:
                    if is_interrupt(error):
                        raise
                    is_whole = False
                    self._missing("params", f"{key}: {in_words(error)}")
        finally:  # also where Ctrl-C comes meanwhile
            if rows:
                self._put_params(tuple(rows))
        if known is not None and is_whole and not cut:
            known.keep(tuple(rows), _SEEDS)
        if cut:
            more = f" and {len(cut) - _MOST_NAMED} more" if len(cut) > _MOST_NAMED else ""
            self._capture("params", "truncated", f"kept of {', '.join(cut[:_MOST_NAMED])}{more}")

    def _put_params(self, rows: tuple[tuple[str, str, str], ...]) -> None:
        if self.pending is not None:
            self.pending.own.append(rows)
        self.put(params_entry(self.id, now_us(), rows))

    def _log_param(
        self,
        key: str,
        value: Any,
        source: str,
        usual: Mapping[str, str],
        cut: list[str],
        rows: list[tuple[str, str, str]],
    ) -> None:
        text = dumps(value, key)
        whose = "default" if usual.get(key) == text else source
        rows.append((masked_word(key), text, masked_word(whose)))
        if key.endswith(_SEEDS) or '"sklearn.model_selection.' in text:
            self._log_seed(key, value, text)
        left, unread = what_was_cut(text), what_was_unread(text)
        if left:
            cut.append(f"{key} ({left})")
        if unread:
            self._missing("params", f"{key}: {unread} was raised when it was read")

    def _log_seed(self, key: str, value: Any, text: str) -> None:
        """A seed that is a param, or that of a splitter which is one."""
        if not key.endswith(_SEEDS):
            own = answer(None, object.__getattribute__, value, "__dict__")
            key, text = f"{key}.random_state", dumps(own.get("random_state") if type(own) is dict else None)
        if self.kind != "candidate" and text.lstrip("-").isdigit():
            row = {"session_id": self.session_id, "run_id": self.id, "library": self.framework or "program"}
            self._row("seeds", {**row, "call": key, "value": text, "location": None})

    def log_results(self, results: Mapping[str, Any]) -> None:
        """Record outcomes that are no curve.

        Examples
        --------
        >>> with histhooks.start_run() as run:
        ...     run.log_results({"best_iteration": 12, "classes": ["no", "yes"]})
        """
        self._try("log_results", self._log_results, results)

    def _log_results(self, results: Mapping[str, Any]) -> None:
        for name, value in items_of(results):
            key = key_text(name)
            if name is None or not key:
                self._refuse("log_results", ValueError(f"the name of a result is a word, not {shown(name)}"))
                continue
            text = dumps(value, key)
            shown_key = masked_word(key) if len(key) <= WORD else mask_text(key)
            self._row("results", {"run_id": self.id, "key": shown_key, "value": text})
            if unread := what_was_unread(text):
                self._missing("results", f"{key}: {unread} was raised when it was read")

    def _author(self) -> Any:
        return self._session.author() if self._session is not None else None

    def event(
        self, kind: str, title: str, body: str | None = None, *, severity: str = "info", step: int | None = None
    ) -> None:
        """Record that something happened.

        Examples
        --------
        >>> with histhooks.start_run() as run:
        ...     run.event("milestone", "halfway", severity="info", step=5)
        """
        self._try("event", self._event, kind, title, body, severity, step)

    def _event(self, kind: str, title: str, body: str | None, severity: str, step: int | None) -> None:
        if self._session is not None:
            self._session.event(kind, title, body, severity=severity, step=step, run_id=self.id, put=self.put)

    def log_optimizer(
        self,
        position: int,
        class_name: str,
        settings: Mapping[str, Any],
        groups: list[Mapping[str, Any]] | None = None,
        scheduler: Any = None,
    ) -> str:
        """Record an optimizer and its groups; give its id."""
        optimizer_id = new_id()
        row = {"id": optimizer_id, "run_id": self.id, "position": position, "class_name": class_name}
        row |= {"settings": dumps(settings, ""), "scheduler": None if scheduler is None else dumps(scheduler, "")}
        self._try("log_optimizer", self._row, "optimizers", row)
        for number, group in enumerate(groups or []):
            facts = dict(group)
            self.log_optimizer_group(optimizer_id, number, facts, step=0, n_parameters=facts.pop("n_parameters", None))
        return optimizer_id

    def log_optimizer_group(
        self,
        optimizer_id: str,
        position: int,
        settings: Mapping[str, Any],
        *,
        step: int | None = None,
        n_parameters: int | None = None,
    ) -> None:
        """Record the settings of one param group, from a step on."""
        lr = settings.get("lr")
        row: dict[str, Any] = {
            "optimizer_id": optimizer_id,
            "run_id": self.id,
            "position": position,
            "n_parameters": n_parameters,
        }
        row |= {"lr": lr if isinstance(lr, (int, float)) else None, "settings": dumps(settings, ""), "step": step}
        self._try("log_optimizer_group", self._row, "optimizer_groups", row)

    def rank_by(self, name: str) -> None:
        """For integrations: rank the run by a metric that the training watches, unless the program chose another."""
        if self.main_metric is None:
            self._try("update", self._state, {"main_metric": name})

    def end_with(self, thing: Any) -> None:
        """For integrations: end the run soon after an object of the program is gone."""
        if self._session is not None:
            self._session.end_with(thing, self)

    def capture(self, collector: str, status: str, note: str | None = None) -> None:
        """For integrations: record what came of gathering something.

        Parameters
        ----------
        collector : str
            What was gathered: `params`, `data`, `loss`, ...
        status : str
            `ok`, `skipped`, `truncated` or `failed`.
        note : str, optional
            What is left out, and why.
        """
        self._try("capture", self._capture, collector, status, note)

    def missing(self, collector: str, why: str) -> None:
        """For integrations: record that a fact could not be read; the 21st of a collector says that there were more.

        Parameters
        ----------
        collector : str
            For `captures`.
        why : str
            What is missing, and what was raised.
        """
        self._try("missing", self._missing, collector, why)

    def _missing(self, collector: str, why: str) -> None:
        count = self._n_missing[collector] = self._n_missing.get(collector, 0) + 1
        if count > _MISSING + 1:
            return
        note = mask_text(why[:10_000])[:500] if count <= _MISSING else f"more than {_MISSING} that could not be read"
        self._capture(collector, "failed", note)

    # --- inside -------------------------------------------------------------------------------------------------

    def _row(self, table: str, row: dict[str, Any]) -> None:
        self.put(row_entry(table, self.id, {**row, "time": now_us()}))

    def _capture(self, collector: str, status: str, note: str | None) -> None:
        self.put(capture_entry(self.session_id, self.id, collector, status, note))

    def _state(self, facts: dict[str, Any]) -> None:
        unknown = facts.keys() - _COLUMNS
        if unknown:
            raise TypeError(f"no column of runs is called {', '.join(sorted(unknown))}")
        self.put(state_entry("run", self.id, {k: v for k, v in facts.items() if v is not None}))

    def _content(self, table: str, row: dict[str, Any]) -> str:
        key = "sha256" if "sha256" in row else "id"
        if key not in row:
            from histhooks._collect.fingerprint import sha256
            from histhooks._store.ledger import canonical

            row = {"id": sha256(canonical(row)), **row}
        found = str(row[key])
        known = self._session.known_contents if self._session is not None else set()
        if found not in known:
            self.put(content_entry(table, row))
            known.add(found)
        return found

    def _try(self, what: str, function: Callable[..., None], *args: Any) -> None:
        if not self.is_recorded:
            self._unrecorded(what)
            return
        try:
            function(*args)
        except BaseException as error:
            if is_interrupt(error):
                raise
            if self.is_implicit and is_of_program(error) and what in _COLLECTORS:
                self._missing(_COLLECTORS[what], in_words(error))
            else:
                self._refuse(what, error)

    def _unrecorded(self, what: str) -> None:
        """Say once that a forked child cannot add to a run of its parent; say nothing if the program did not ask."""
        if self.owner is None or self._is_told or what in _BY_HOOKS:
            return
        self._is_told = True
        text = f"{what} on run {self.name!r} records nothing here: it is a run of process {self.owner}, from which "
        text += "this one was forked; open one of its own with `with histhooks.start_run():`"
        warn_once("forked", text)
        if self._told is not None:
            self._told("forked", text, severity="warning")

    def _whole(self, what: str, value: Any) -> int | None:
        """A step, an epoch or a count; None, and what it belongs to goes without it, where it is none."""
        number = as_whole(value)
        if number is not None and 0 <= number <= MOST:
            return number
        self._refuse("log", ValueError(f"{what} is a whole number from 0 on, below 2**63, not {shown(value)}"))
        return None

    def _refuse(self, what: str, error: BaseException) -> None:
        if self._session is None:
            return
        if is_strict():
            raise error
        text = mask_text(f"{what} on run {self.name!r} was refused: {message_of(error)[:10_000]}")
        warn_once(f"{self.id}/{what}/{name_of(error)}", text)
        self._n_refused += 1
        if self._n_refused > _REFUSALS:  # a loop that is odd at each step must not fill the file
            return
        self._session.event("refused", text[:500], severity="warning", run_id=self.id)
