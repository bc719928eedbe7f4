"""Run other programs (git, nvidia-smi) to collect facts: in parallel, and within a time limit."""

from __future__ import annotations

import codecs
import contextlib
import os
import queue
import select
import selectors
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, cast

from histhooks._base.secret_shapes import lazily
from histhooks._base.secrets import mask_text
from histhooks._host import inherited_files, own_children

_AT_ONCE = 1 << 16
_LOOK_S = 0.05  # how often a waiting thread checks whether the time is over
_TURN_S = 0.005  # between two looks at pipes that are read in turn
_QUOTED = lazily(r"'[^']*'")


def _path_of(name: str) -> str:
    """Where a program lies on the PATH.

    A bare name would be looked up by :func:`os.get_exec_path`, which enters ``warnings.catch_warnings``: after that the
    program is shown all warnings a second time, and the filters that another thread has just set may be lost.
    """
    if os.name == "nt" or os.path.dirname(name):
        return name  # Windows looks it up itself
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder or os.curdir, name)
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return os.path.abspath(path)
    raise FileNotFoundError(name)


class Question:
    """What one program was asked, and what it said.

    Attributes
    ----------
    text : str
        What it said on stdout, up to as many characters as were asked for.
    n_characters, n_lines : int
        Of all that it said there.
    code : int or None
        Its exit code; None as long as there is none.
    is_missing : bool
        Whether there is no such program.
    why_not : str or None
        Why there is no answer, where there is none.
    """

    def __init__(self, command: tuple[str, ...], folder: Path | None, variables: Mapping[str, str], most: int) -> None:
        self.text = ""
        self.n_characters = self.n_lines = 0
        self.code: int | None = None
        self.is_missing = False
        self.why_not: str | None = None
        self._name = os.path.basename(command[0])
        self._most = most
        self._error = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._process: subprocess.Popen[bytes] | None = None
        self.streams: list[IO[bytes]] = []
        try:
            with own_children.starting():
                self._process = subprocess.Popen(
                    (_path_of(command[0]), *command[1:]), cwd=folder, env={**os.environ, **variables},
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                )  # fmt: skip
                own_children.add(self._process.pid)
        except OSError as error:
            self.is_missing = isinstance(error, FileNotFoundError) and error.filename in (None, command[0])
            self.why_not = f"no {self._name} on the PATH" if self.is_missing else f"{self._name}: {error.strerror}"
            return
        self.streams = [stream for stream in (self._process.stdout, self._process.stderr) if stream is not None]

    @property
    def is_open(self) -> bool:
        """Whether it may still say something."""
        return bool(self.streams)

    @property
    def has_ended(self) -> bool:
        """Whether its process has."""
        return self._process is None or self._process.poll() is not None

    @property
    def answer(self) -> str | None:
        """What it said, where it came to a good end."""
        return self.text if self.code == 0 else None

    def take(self, stream: IO[bytes], data: bytes) -> None:
        """Take what has come; no bytes are the end of a stream, and after the last one the program has ended too."""
        if stream not in self.streams:  # given up meanwhile
            return
        if self._process is not None and stream is self._process.stdout:
            text = self._decoder.decode(data, final=not data)
            self.n_characters += len(text)
            self.n_lines += text.count("\n")
            self.text += text[: max(0, self._most - len(self.text))]
        else:
            self._error = (self._error + data)[-_AT_ONCE:]
        if not data:
            stream.close()
            self.streams.remove(stream)
            if not self.streams:
                self._end()

    def give_up(self, why_not: str) -> None:
        """Wait no longer."""
        if not self.streams or self._process is None:
            return
        self.why_not = f"{self._name} {why_not}"
        self._process.kill()
        for stream in self.streams:
            stream.close()
        self.streams = []
        self._wait(0.1)  # a program may hang where no signal reaches it
        own_children.forget(self._process.pid)

    def cut_off(self) -> None:
        """The program that we run in has closed our descriptors: their numbers may be others' by now."""
        if self.streams and self._process is not None:
            self.why_not = f"{self._name}: the program closed all descriptors meanwhile"
            self._process.kill()
            own_children.forget(self._process.pid)
            for stream in self.streams:
                inherited_files.leave(None, stream)
            self.streams = []

    def _wait(self, timeout_s: float | None) -> int | None:
        assert self._process is not None
        if os.name == "nt":
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_s)
        elif self._process.returncode is None:
            self._process.returncode = own_children.wait(self._process.pid, timeout_s)
        return self._process.returncode

    def _end(self) -> None:
        assert self._process is not None
        if self._wait(1.0) is None:  # it said its last word and stays
            self._process.kill()
            self._wait(None)
        self.code = self._process.returncode
        if self.code != 0:
            lines = self._error.decode("utf-8", "replace").strip().splitlines() or [f"exit code {self.code}"]
            line = next((line for line in lines if line.lower().startswith(("fatal", "error"))), lines[-1])
            said = _QUOTED.sub("'...'", mask_text(line))[:200]
            self.why_not = f"{self._name}: {said}"


Said = tuple[Question, "IO[bytes]", bytes]


def _selected(questions: list[Question], within_s: float) -> list[Said]:
    """The output of programs within some seconds, from the pipes that the system reports as readable."""
    with selectors.DefaultSelector() as selector:
        for question in questions:
            for stream in question.streams:
                selector.register(stream, selectors.EVENT_READ, question)
        ready = [(key.data, cast("IO[bytes]", key.fileobj)) for key, _ in selector.select(within_s)]
        return [(question, stream, os.read(stream.fileno(), _AT_ONCE)) for question, stream in ready]


class _Listeners:
    """What programs say, where select() knows of sockets only, as on Windows: a thread waits for each pipe.

    Since Python 3.12 no thread can be started on the way out. There pipes are read in turn, without waiting: that
    version's :func:`os.set_blocking` knows pipes on Windows too.
    """

    def __init__(self) -> None:
        self._said: queue.SimpleQueue[Said] = queue.SimpleQueue()
        self._heard: set[IO[bytes]] = set()
        self._in_turn: set[IO[bytes]] = set()

    def __call__(self, questions: list[Question], within_s: float) -> list[Said]:
        for question in questions:
            for stream in set(question.streams) - self._heard:
                self._heard.add(stream)
                arguments = (question, stream, stream.fileno())
                try:
                    threading.Thread(target=self._listen, args=arguments, name="histhooks-listen", daemon=True).start()
                except RuntimeError:
                    os.set_blocking(stream.fileno(), False)
                    self._in_turn.add(stream)
        found = [said for question in questions for said in self._taken_in_turn(question)]
        if self._in_turn:
            within_s = min(within_s, _TURN_S) if not found else 0.0
        with contextlib.suppress(queue.Empty):
            found.append(self._said.get(timeout=max(within_s, 0.001)))
        return found

    def _taken_in_turn(self, question: Question) -> Iterator[Said]:
        for stream in self._in_turn.intersection(question.streams):
            has_ended = question.has_ended  # before the last look at what it has said
            try:
                yield question, stream, os.read(stream.fileno(), _AT_ONCE)
            except OSError:  # nothing yet; which error that is depends on the system
                if has_ended:
                    yield question, stream, b""

    def _listen(self, question: Question, stream: IO[bytes], number: int) -> None:
        data = b"."
        while data:
            try:
                data = os.read(number, _AT_ONCE)
            except OSError:  # it was given up, and closed
                data = b""
            self._said.put((question, stream, data))


class Inquiry:
    """Programs that run in parallel.

    Parameters
    ----------
    importing : lock, optional
        Held by the caller, and released while this waits, as a condition does.
    patience_s : float, seconds
        How long all of it may take.
    """

    def __init__(self, importing: threading.Lock | None = None, patience_s: float = 20.0) -> None:
        self._importing = importing
        self._patience_s = patience_s
        self._until = time.monotonic() + patience_s
        self._is_over = False
        self._questions: list[Question] = []
        self._said = _selected if hasattr(select, "poll") else _Listeners()

    def ask(
        self, *command: str, folder: Path | None = None, variables: Mapping[str, str] | None = None, most: int = 1 << 24
    ) -> Question:
        """Start a program; what it says is read by :meth:`read`."""
        question = Question(command, folder, variables or {}, most)
        self._questions.append(question)
        return question

    def within(self, patience_s: float) -> None:
        """Have it end so many seconds from now, if not before."""
        self._until = min(self._until, time.monotonic() + patience_s)

    def hurry(self) -> None:
        """From another thread: the process ends, and what is not answered by now is given up."""
        self.within(_LOOK_S)
        self._is_over = True

    def read(self, *wanted: Question, within_s: float | None = None) -> bool:
        """Read what all of them say, until some have ended.

        Parameters
        ----------
        *wanted : Question
            Those that are waited for.
        within_s : float, seconds, optional
            Come back after that long, and give up nothing.

        Returns
        -------
        bool
            Whether they have ended.
        """
        until = None if within_s is None else time.monotonic() + within_s
        with self._unlocked():
            while any(question.is_open for question in wanted):
                left = min(self._until, until or self._until) - time.monotonic()
                try:
                    said = self._said(self._questions, max(0.0, min(left, _LOOK_S)))
                except (OSError, ValueError):
                    said = []
                    for question in self._questions:
                        question.cut_off()
                for question, stream, data in said:
                    question.take(stream, data)
                # Output that came in time is read, even if the time is over; endless output is not.
                if left <= 0 and (not said or left < -_LOOK_S):
                    break
            if until is None or time.monotonic() > self._until:
                why_not = "had not answered when the process ended"
                for question in wanted:
                    question.give_up(why_not if self._is_over else f"gave no answer in {self._patience_s:.0f} s")
        return not any(question.is_open for question in wanted)

    @contextlib.contextmanager
    def _unlocked(self) -> Iterator[None]:
        if self._importing is None:
            yield
            return
        self._importing.release()
        try:
            yield
        finally:
            self._importing.acquire()
