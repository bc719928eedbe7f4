"""Exceptions that cannot be printed, that come from outside, or that an odd object raises when a hook reads it."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import histhooks
from histhooks import recorder
from histhooks._base.exceptions import ask, in_words, is_interrupt, is_of_program, traceback_of
from histhooks._base.vocabulary import status_of
from histhooks._host.guard import gathered, guarded
from histhooks._record.engine import engine


class Mute(Exception):
    """Its text is none: ``str()`` of it raises a TypeError."""

    def __str__(self) -> str:
        return None  # type: ignore[return-value]


class Worse(Exception):
    def __str__(self) -> str:
        raise Worse("again")


class OddNames(Exception):
    def __getattr__(self, name: str) -> Any:
        raise KeyError(name)


class Uncomparable:
    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared")

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        raise KeyError("words")


class Outcome(BaseException):
    """As pytest's: no ``Exception``."""


class Odd:
    @property
    def fails(self) -> int:
        raise IndexError("not yet")

    @property
    def stops(self) -> int:
        raise Outcome("stop")

    @property
    def leaves(self) -> int:
        sys.exit(3)

    @property
    def presses_ctrl_c(self) -> int:
        raise KeyboardInterrupt


@pytest.fixture
def recording(store_path: Path) -> Iterator[Path]:
    histhooks.autolog(store=store_path)
    return store_path


def rows(store: Path, sql: str) -> list[Any]:
    assert histhooks.flush()
    with contextlib.closing(sqlite3.connect(store)) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("error", [Mute("x"), Worse("x"), OddNames("x")], ids=lambda error: type(error).__name__)
def test_an_exception_that_cannot_be_printed_ends_a_run_as_any_other(recording: Path, error: Exception) -> None:
    caught: Any
    with pytest.raises(type(error)) as caught, histhooks.start_run("block"):
        raise error
    assert caught.value is error
    ((status, kind, message, trace),) = rows(recording, "SELECT status, error_type, error_message, traceback FROM runs")
    assert (status, kind) == ("failed", type(error).__name__)
    assert message == ("x" if isinstance(error, OddNames) else message)
    assert message
    assert "raise error" in trace
    assert type(error).__name__ in trace
    assert engine.session.live == {}


@pytest.mark.parametrize(
    ("code", "wanted"),
    [(Uncomparable(), "failed"), ("no words", "failed"), (2, "failed"), (None, "interrupted"), (0, "interrupted")],
)
def test_an_exit_with_any_code_ends_a_run(recording: Path, code: Any, wanted: str) -> None:
    with pytest.raises(SystemExit), histhooks.start_run("block"):
        sys.exit(code)
    assert rows(recording, "SELECT status FROM runs") == [(wanted,)]


def test_the_status_asks_the_class_of_an_exception_and_not_the_object() -> None:
    class Sly(Exception):
        @property
        def __class__(self) -> type:  # type: ignore[override]
            raise RuntimeError("who asks?")

    assert status_of(Sly()) == "failed"
    assert in_words(Sly("x")) == f"{Sly.__qualname__}: x"
    assert "x" in traceback_of(Sly("x"))


def test_what_a_run_still_has_to_say_does_not_keep_it_open(recording: Path) -> None:
    run = recorder.open_run(kind="fit")
    odd = Odd()
    run.before_end = lambda status: {"steps_done": odd.fails}
    run.end()
    assert rows(recording, "SELECT status, steps_done FROM runs") == [("finished", None)]
    assert rows(recording, "SELECT note FROM captures WHERE status = 'failed'") == [
        ("last facts: IndexError: not yet",)
    ]


@pytest.mark.parametrize("name", ["fails", "stops", "leaves", "presses_ctrl_c"])
def test_a_property_that_raises_costs_its_own_fact(recording: Path, name: str) -> None:
    def depth(odd: Odd) -> Any:
        return getattr(odd, name)

    with recorder.open_run(kind="fit") as run:
        assert gathered(run, "params", depth, Odd()) is None
    assert rows(recording, "SELECT status FROM runs") == [("finished",)]
    ((collector, note),) = rows(recording, "SELECT collector, note FROM captures WHERE status = 'failed'")
    assert collector == "params"
    assert note.startswith("depth: ")
    assert engine.session.hook_errors == 0


def test_a_failure_of_a_hook_is_counted_and_raised_where_that_is_asked_for(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours: Any = recorder.Run.what_is
    with recorder.open_run(kind="fit") as run:
        with pytest.raises(AttributeError):
            gathered(run, "data", ours, None, "x", what="shape")
        monkeypatch.setenv("HISTHOOKS_STRICT", "")
        assert gathered(run, "data", ours, None, "x", what="shape") is None
    assert engine.session.hook_errors == 2
    notes = rows(recording, "SELECT note FROM captures WHERE status = 'failed'")
    assert notes == [("shape: AttributeError: 'NoneType' object has no attribute '_metrics'",)] * 2


def test_what_raises_in_c_for_an_object_of_the_program_is_asked_for(recording: Path) -> None:
    class NoLength:
        def __len__(self) -> int:
            return -1

    with recorder.open_run(kind="fit") as run:
        gathered(run, "data", ask, len, NoLength(), what="length")
    assert engine.session.hook_errors == 0
    ((note,),) = rows(recording, "SELECT note FROM captures WHERE status = 'failed'")
    assert note == "length: ValueError: __len__() should return >= 0"


def test_a_fact_that_is_missing_a_thousand_times_leaves_a_bounded_number_of_rows(recording: Path) -> None:
    with recorder.open_run(kind="fit") as run:
        for _ in range(1000):
            gathered(run, "scores", getattr, Odd(), "fails", what="score")
    notes = rows(recording, "SELECT note FROM captures WHERE status = 'failed'")
    assert len(notes) == 21
    assert notes[-1] == ("more than 20 that could not be read",)


class Slow:
    @property
    def shape(self) -> tuple[int, ...]:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            pass
        raise AssertionError("no signal came")


@pytest.mark.parametrize("kind", [TimeoutError, SystemExit, Outcome, KeyboardInterrupt])
def test_what_a_signal_handler_raises_inside_a_hook_reaches_the_program(recording: Path, kind: type) -> None:
    class Limit:
        def __call__(self, number: int, frame: Any) -> None:
            raise kind("too long")

    before = signal.signal(signal.SIGALRM, Limit())
    try:
        for hook in (guarded(lambda: Slow().shape), lambda: gathered(run, "data", lambda: Slow().shape)):
            with pytest.raises(kind), recorder.open_run(kind="fit") as run:
                hook()
    finally:
        signal.signal(signal.SIGALRM, before)
    wanted = "interrupted" if kind is KeyboardInterrupt else "failed"
    assert rows(recording, "SELECT DISTINCT status FROM runs") == [(wanted,)]
    assert rows(recording, "SELECT note FROM captures WHERE status = 'failed'") == []


def test_ctrl_c_inside_a_hook_ends_the_run_and_reaches_the_program(recording: Path) -> None:
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), recorder.open_run(kind="fit") as run:
            gathered(run, "data", lambda: Slow().shape)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert rows(recording, "SELECT status FROM runs") == [("interrupted",)]


def test_where_an_exception_comes_from() -> None:
    def raised(function: Any, *args: Any) -> BaseException:
        caught: Any
        with pytest.raises((Exception, KeyboardInterrupt)) as caught:
            function(*args)
        return caught.value

    assert is_of_program(raised(getattr, Odd(), "fails"))
    assert not is_of_program(raised(recorder.Run.what_is, None, "x"))
    assert is_of_program(raised(ask, len, 3))
    assert not is_interrupt(raised(getattr, Odd(), "presses_ctrl_c"))
    assert is_interrupt(KeyboardInterrupt())
