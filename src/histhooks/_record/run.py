"""A run: what a hook or a program says to it becomes entries of the buffer, and nothing else."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import iso, now_us
from histhooks._base.exceptions import is_interrupt, message_of
from histhooks._base.jsonable import is_mapping, shown
from histhooks._base.names import class_name, clean_text
from histhooks._base.values import as_float, digits, is_elsewhere, items_of
from histhooks._base.vocabulary import KILLED, status_of
from histhooks._host.guard import gathered
from histhooks._record import device_readings
from histhooks._record.familiar import Familiar
from histhooks._record.outlet import late
from histhooks._record.run_facts import MOST, columns_of_error, masked
from histhooks._store.entries import is_state, later_entry

# An import costs what it brings in: what only some runs need, the methods that need it import.
if TYPE_CHECKING:
    from contextvars import Token

    from histhooks._record.program_settings import Pending
    from histhooks._record.session import Session
    from histhooks._store.entries import Line

# Which run is current where this is executed, and whether recording is paused there: threads and tasks each have
# values of their own.
current: ContextVar[Run | None] = ContextVar("histhooks_run", default=None)
is_paused: ContextVar[bool] = ContextVar("histhooks_paused", default=False)
# This was dispatched by a host from inside one of its own fits: a search, a validation, an ensemble.
in_task: ContextVar[bool] = ContextVar("histhooks_task", default=False)
_EXACT = 1 << 53


class Run(Familiar):
    """One training, or one ``start_run()`` block. No call on it ever raises into a program.

    Attributes
    ----------
    id : str or None
        UUIDv7; None where nothing is recorded.
    name, kind, status : str
    parent_id, framework : str or None
    main_metric : str or None
        What ``autolog(metric=...)`` ranks runs by.

    Examples
    --------
    >>> with histhooks.start_run("my loop", params={"lr": 0.1}) as run:
    ...     run.log_dataset("train", [[0.0], [1.0]], [0, 1], name="toy", source="data/toy.csv")
    ...     run.declare_metric("score", split="valid", direction=1)
    ...     for epoch in range(3):
    ...         run.log({"loss": 1 / (epoch + 1), "score": epoch}, epoch=epoch)
    ...     run.log_results({"classes": [0, 1]})
    ...     run.log_artifact("model.pt", role="model")
    ...     run.link("continues", None, path="model.pt")
    >>> run.status
    'finished'
    """

    def __init__(self, session: Session | None, facts: Mapping[str, Any], *, is_implicit: bool = True) -> None:
        super().__init__(session)
        self.is_implicit = is_implicit
        self.start_us = now_us()
        self.begun_s = time.perf_counter()
        self.started_at = iso(self.start_us)
        self.name = str(facts.get("name") or "run")
        self.kind = str(facts.get("kind") or "block")
        self.parent_id = facts.get("parent_id")
        self.framework = facts.get("framework")
        self.project = str(facts.get("project") or "")
        self.main_metric = facts.get("main_metric")
        self.status = "running"
        self.tokens: list[Token[Run | None]] = []
        # What an integration still has to say when the run ends: called with the status, gives columns of `runs`.
        self.before_end: Callable[[str], dict[str, Any]] | None = None
        # For a point of an epoch that comes without a step: the last step that the host has taken.
        self.last_step: Callable[[], int | None] | None = None
        self._n_reopened = 0  # blocks that add to the run after its end
        self.thread_id = threading.get_ident()
        self._final: dict[str, Any] | None = None
        self._is_settled = False
        # What is not said of the beginning yet.
        self._opening: dict[str, Any] | None = None
        if session is not None:
            begun = {"session_id": session.id, "status": "running", "started_at": self.started_at}
            self._opening = {**facts, **begun}
            session.begin(self)  # first: where Ctrl-C comes meanwhile, it is found there
            self._state(self._opening)
            self._opening = None

    def __repr__(self) -> str:
        return f"<Run {self.name!r} {self.kind} {self.status} {self.id}>"

    # --- the hot path -------------------------------------------------------------------------------------------

    def log(self, metrics: Mapping[str, Any], *, step: int | None = None, epoch: int | None = None) -> None:
        """Record one point of each metric.

        Parameters
        ----------
        metrics : mapping of str to number
            Names as the program calls them; a prefix such as ``val_`` names the split.
        step : int, optional
            0-based step. By default the number of points the metric has so far; where an epoch is given and the
            optimizer steps of a PyTorch loop are recorded, the last of those.
        epoch : int, optional
            0-based epoch.

        Examples
        --------
        >>> with histhooks.start_run() as run:
        ...     run.log({"loss": 0.3, "val_loss": 0.4}, step=10, epoch=1)
        """
        try:
            if step is not None and (step.__class__ is not int or not 0 <= step <= MOST):
                step = self._whole("step", step)
            for name, value in metrics.items():
                if value.__class__ is not float or name.__class__ is not str or not name:
                    metrics, elsewhere = self._read(metrics, step)
                    break
            else:
                metrics, elsewhere = dict(metrics), None
            if epoch is not None:
                if epoch.__class__ is not int or not 0 <= epoch <= MOST:
                    epoch = self._whole("epoch", epoch)
                if step is None and self.last_step is not None:
                    step = self.last_step()
            now = time.time_ns()
            if metrics:
                self.put((self, metrics, step, epoch, now))
            if elsewhere:
                self._log_later(elsewhere, step, epoch, now)
        except BaseException as error:
            if is_interrupt(error):
                raise
            self._log_odd(metrics, step, epoch, error)

    def _log_odd(self, metrics: Any, step: int | None, epoch: int | None, error: BaseException) -> None:
        """Record what a call brought beside something that raised even when it was asked for its class."""
        if self.status != "running" or (isinstance(metrics, dict) and all(type(v) is float for v in metrics.values())):
            self._refuse("log", error)
        elif not is_mapping(type(metrics)):
            name = class_name(type(metrics)).removeprefix("builtins.")
            self._refuse("log", TypeError(f"metrics are names with numbers, such as {{'loss': 0.3}}, not {name}"))
        else:
            self._try("log", self._log_read, metrics, step, epoch)

    def _log_read(self, metrics: Mapping[str, Any], step: int | None, epoch: int | None) -> None:
        read, elsewhere = self._read(metrics, step)
        now = time.time_ns()
        if read:
            self.put((self, read, step, epoch, now))
        self._log_later(elsewhere, step, epoch, now)

    def on_names(self, notice: Callable[[Iterable[str]], None]) -> None:
        """For integrations: learn the names that a program logs in this run, each time before they are recorded.

        Parameters
        ----------
        notice : callable
            Takes the names of one :meth:`log`.
        """
        log = self.log

        def noticed(metrics: Mapping[str, Any], *, step: int | None = None, epoch: int | None = None) -> None:
            try:
                notice(metrics)
            except BaseException as error:
                if is_interrupt(error):
                    raise  # what has no names is refused by `log` itself
            log(metrics, step=step, epoch=epoch)

        vars(self)["log"] = noticed  # in front of the method, for this run alone: a test in it would cost all runs

    def log_line(self, line: Line, value: float, step: int, time_ns: int) -> None:
        """For integrations: record points of which one value, the step and the time are all that is new."""
        try:
            self.put((line, value, step, time_ns))
        except Exception as error:
            self._refuse("log", error)

    def log_mean(self, name: str, values: list[Any], step: int | None, epoch: int | None, time_ns: int) -> None:
        """For integrations: record a point as the mean of numbers, of which some are on their way from a device."""
        self.put(later_entry(device_readings.Reading(self, name, values, step, epoch, time_ns)))

    def _log_later(self, metrics: dict[str, Any], step: int | None, epoch: int | None, now: int) -> None:
        """Record numbers that lie on a device, without waiting for it."""
        for name, value in metrics.items():
            try:
                number = device_readings.OnDevice(value)
            except TypeError as error:
                self._refuse("log", error)
                continue
            self.log_mean(clean_text(name), [number], step, epoch, now)

    def _read(self, metrics: Mapping[str, Any], step: int | None) -> tuple[dict[str, float], dict[str, Any]]:
        """The numbers in metrics, and what lies on a device."""
        out, elsewhere = {}, {}
        for given, value in items_of(metrics):
            if not issubclass(type(given), str) or not given:
                self._refuse("log", ValueError(f"the name of a metric is a word, not {shown(given)}"))
                continue
            name = str.__str__(given)
            try:
                if is_elsewhere(value):
                    elsewhere[name] = value
                    continue
                out[clean_text(name)] = number = as_float(value)
            except BaseException as error:
                if is_interrupt(error):
                    raise
                self._refuse("log", TypeError(f"metric {name!r}: {message_of(error)}"))
                number = float(isinstance(error, OverflowError)) * 2 * _EXACT
            if not -_EXACT < number < _EXACT:
                self._keep_exactly(name, value, step)
        return out, elsewhere

    def _keep_exactly(self, name: str, value: Any, step: int | None) -> None:
        """Keep a whole number that a float may not hold, also one of NumPy or PyTorch."""
        item = getattr(value, "item", None)
        plain = item() if item is not None else value
        if isinstance(plain, int) and abs(plain) > _EXACT:
            self._event("integer", clean_text(name), digits(plain), "info", step)

    # --- states -------------------------------------------------------------------------------------------------

    def update(self, **facts: Any) -> None:
        """Record columns of `runs` that changed."""
        self._try("update", self._state, facts)

    def end(self, status: str = "finished", error: BaseException | None = None, **facts: Any) -> None:
        """Close the run; a second call does nothing.

        Parameters
        ----------
        status : str
            How it ended, if no exception shows it.
        error : BaseException, optional
            The exception that ended it.
        **facts
            Further columns of `runs`. Those of an error that is known by its text alone are masked and cut.

        Examples
        --------
        >>> run = histhooks.start_run("without a block")
        >>> run.end("failed", error=ValueError("why"))
        >>> run.status
        'failed'
        """
        if self.status == "running":
            self._try("end", self._end, status, error, facts)

    def columns_of_end(self, time_ns: int) -> dict[str, Any]:
        """For integrations: columns of a run that ended at a time which is past (of ``time.time_ns``)."""
        seconds = (time_ns // 1000 - self.start_us) / 1e6
        return {"ended_at": iso(time_ns // 1000), "duration_s": round(seconds, 6)}

    def _end(self, status: str, error: BaseException | None, facts: dict[str, Any]) -> None:
        status = status_of(error) if error is not None else status
        facts = masked(facts)
        before, self.before_end = self.before_end, None
        try:
            if before is not None:
                facts = {**(gathered(self, "end", before, status, what="last facts") or {}), **facts}
            if self.pending is not None:
                self._try("log_params", self._settle_params, self.pending)
            if self._session is not None and status != KILLED:  # a signal may come while a generator's lock is held
                gathered(self, "random states", self._session.run_ends, self)
            if error is not None:
                facts = {**facts, **columns_of_error(error)}
        finally:
            self._close(status, facts)  # also where Ctrl-C comes meanwhile

    def _settle_params(self, pending: Pending) -> None:
        if note := pending.settle(self.put, self.id, is_end=True):
            self._capture("config", "truncated", note)

    def _close(self, status: str, facts: dict[str, Any]) -> None:
        duration = time.perf_counter() - self.begun_s
        final = {"status": status, "ended_at": iso(now_us()), "duration_s": round(duration, 6), **facts}
        interrupt: BaseException | None = None
        while True:
            try:
                self._settle(final)
                break
            except BaseException as error:
                if interrupt is not None or not is_interrupt(error):
                    raise
                interrupt = error  # Ctrl-C waits until the end is whole
        if interrupt is not None:
            raise interrupt

    def _settle(self, final: dict[str, Any]) -> None:
        with self._changing:
            if self._final is None:
                self._final = final
            elif self._final is not final:
                return  # another thread was first
            self.status = final["status"]
        if not self._is_settled:
            self._state({**(self._opening or {}), **final})
            self._is_settled = True
        if self._session is not None and (str(self.id) in self._session.live or self._opening is not None):
            self._session.let_go(self)
        self.let_go_of_data()
        with self._changing:
            self._lead_on()

    def takes_more(self) -> bool:
        """For integrations: whether :meth:`reopened` can help; not in a forked child, nor after ``disable()``."""
        session = self._session
        return session is not None and not session.is_over and session.pid == os.getpid()

    @contextmanager
    def reopened(self) -> Iterator[None]:
        """For integrations: add to a run that has ended, such as a score on data that came later.

        Its end stays as it was. A metric that it had before its end cannot go on. Several threads may do so at once:
        the run takes more until the last of them has left.
        """
        is_open = self.takes_more()
        with self._changing:
            self._n_reopened += is_open
            self._lead_on()
        try:
            yield
        finally:
            with self._changing:
                self._n_reopened -= is_open
                self._lead_on()

    def __enter__(self) -> Run:
        self.tokens.append(current.set(self))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            current.reset(self.tokens.pop())
        except (ValueError, IndexError):
            # Left in another context than it was entered in: a generator, or a thread.
            current.set(None)
        above = current.get()
        if above is not None and above.status != "running":
            current.set(None)  # blocks in generators end in any order
        self.end(error=error)

    # --- where entries go ---------------------------------------------------------------------------------------

    def relay(self, put: Callable[[Any], None], run_id: str | None, session_id: str | None) -> None:
        """For integrations: stand for a run of another process, which is sent what is recorded here."""
        self.id, self.session_id, self.is_recorded = run_id, session_id, True
        self.lead("relay", put)

    def _lead_on(self) -> None:
        """Lead entries of a run that has ended where they belong; `_changing` is held."""
        if self.status == "running":
            return
        if self._session is not None and self._n_reopened and self.takes_more():
            self._lead("reopen", self._session.buffer.append)
        else:
            self._lead("end", late)

    def inherit(self, owner: int, tell: Callable[..., None]) -> None:
        """In a forked child: the run stays its parent's, and an event of the child says so once if it adds to it."""
        self._changing = threading.Lock()  # another thread of the parent may hold that one for ever
        self._session, self.is_recorded, self.owner, self._told = None, False, owner, tell
        self.lead("inherit", self._not_ours)

    def _not_ours(self, entry: Any) -> None:
        if not is_state(entry):  # how it ended is not this process's to say
            self._unrecorded("log")
