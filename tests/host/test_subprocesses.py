"""Other programs that are asked: side by side, with bounds, and never waited for without end."""

import sys
import threading
from pathlib import Path

import pytest

from histhooks._host import subprocesses
from histhooks._host.subprocesses import Inquiry


def test_programs_run_side_by_side_and_each_answer_is_its_own(tmp_path: Path) -> None:
    inquiry = Inquiry()
    # Each waits for the other's file: one after the other they would never end.
    first = inquiry.ask("sh", "-c", "touch a; while [ ! -e b ]; do sleep 0.01; done; echo one", folder=tmp_path)
    second = inquiry.ask("sh", "-c", "touch b; while [ ! -e a ]; do sleep 0.01; done; echo two", folder=tmp_path)
    assert inquiry.read(first, second)
    assert (first.answer, second.answer) == ("one\n", "two\n")


def test_more_than_a_pipe_holds_is_read_while_another_is_waited_for() -> None:
    inquiry = Inquiry()
    big = inquiry.ask("sh", "-c", "yes 12345678 | head -n 200000; exec true", most=1000)
    small = inquiry.ask("sh", "-c", "echo small")
    assert inquiry.read(small)
    assert inquiry.read(big)
    assert big.text == "12345678\n" * 111 + "1"
    assert (big.n_characters, big.n_lines) == (1_800_000, 200_000)


def test_characters_are_counted_also_where_a_read_ends_within_one() -> None:
    inquiry = Inquiry()
    question = inquiry.ask("sh", "-c", r"printf '\303'; sleep 0.2; printf '\251\n\377'")
    assert inquiry.read(question)
    assert question.answer == "\u00e9\n\ufffd"
    assert (question.n_characters, question.n_lines) == (3, 1)


def test_why_there_is_no_answer_is_told() -> None:
    inquiry = Inquiry(patience_s=1.0)
    refused = inquiry.ask("sh", "-c", "echo half; echo first >&2; echo \"fatal: not in '/home/ann'\" >&2; exit 3")
    silent = inquiry.ask("sh", "-c", "exit 4")
    missing = inquiry.ask("no-such-program-anywhere", "--version")
    slow = inquiry.ask("sh", "-c", "echo begun; exec sleep 1000")
    assert inquiry.read(refused, silent, missing, slow)
    assert [q.answer for q in (refused, silent, missing, slow)] == [None] * 4
    assert (refused.code, refused.why_not) == (3, "sh: fatal: not in '...'")
    assert (silent.code, silent.why_not) == (4, "sh: exit code 4")
    assert (missing.is_missing, missing.why_not) == (True, "no no-such-program-anywhere on the PATH")
    assert (slow.code, slow.why_not) == (None, "sh gave no answer in 1 s")


def test_who_comes_back_earlier_gives_nothing_up(tmp_path: Path) -> None:
    inquiry = Inquiry()
    waits = "echo begun; while [ ! -e go ]; do sleep 0.01; done; echo ended"
    question = inquiry.ask("sh", "-c", waits, folder=tmp_path)
    assert not inquiry.read(question, within_s=0.01)
    (tmp_path / "go").touch()
    assert inquiry.read(question)
    assert question.answer == "begun\nended\n"


def test_a_hurry_ends_the_waiting_and_what_was_said_before_it_counts(tmp_path: Path) -> None:
    inquiry = Inquiry()
    said = inquiry.ask("sh", "-c", "echo said; touch said", folder=tmp_path)
    other = Inquiry()
    assert other.read(other.ask("sh", "-c", "while [ ! -e said ]; do sleep 0.01; done; sleep 0.5", folder=tmp_path))
    # By now it has been said, and nobody has read it.
    slow = inquiry.ask("sleep", "1000")
    talks = inquiry.ask("yes")
    inquiry.hurry()
    assert inquiry.read(slow)
    assert inquiry.read(said, talks)
    assert said.answer == "said\n"
    assert slow.why_not == "sleep had not answered when the process ended"
    assert talks.why_not == "yes had not answered when the process ended"


def test_a_hurry_comes_from_another_thread() -> None:
    inquiry = Inquiry()
    slow = inquiry.ask("sleep", "1000")
    threading.Timer(0.1, inquiry.hurry).start()
    assert inquiry.read(slow)
    assert slow.why_not == "sleep had not answered when the process ended"


def test_the_lock_is_let_go_of_while_programs_are_waited_for() -> None:
    lock = threading.Lock()
    seen = []

    def other() -> None:
        with lock:
            seen.append("in between")
            Path("go").touch()

    with lock:
        inquiry = Inquiry(lock)
        question = inquiry.ask("sh", "-c", "while [ ! -e go ]; do sleep 0.01; done")
        thread = threading.Thread(target=other)
        thread.start()
        assert inquiry.read(question)
        assert lock.locked()
    thread.join()
    assert seen == ["in between"]


def test_pipes_are_read_in_turn_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows since Python 3.12, once the interpreter is on its way out."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    inquiry = Inquiry(patience_s=30.0)
    monkeypatch.setattr(inquiry, "_said", subprocesses._Listeners())
    much = "import time; print('a' * 200_000, flush=True); time.sleep(0.2); print('b' * 200_000)"
    asked = [
        inquiry.ask(sys.executable, "-c", code)
        for code in (much, "pass", "import sys; sys.stderr.write('fatal: no'); sys.exit(3)")
    ]
    assert inquiry.read(*asked)
    assert [question.code for question in asked] == [0, 0, 3]
    assert asked[0].answer == "a" * 200_000 + "\n" + "b" * 200_000 + "\n"
    assert asked[2].why_not is not None
    assert "fatal: no" in asked[2].why_not
    hanging = inquiry.ask(sys.executable, "-c", "import time; time.sleep(60)")
    inquiry.within(0.2)
    assert not inquiry.read(hanging) or hanging.why_not
    assert hanging.code is None
