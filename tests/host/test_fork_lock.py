"""A lock that another thread holds at a fork is free in the child, and who forked while holding it goes on."""

import os
import threading
from collections.abc import Callable, Iterator

import pytest

from histhooks._host import fork_lock, messages

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def code_of_child(function: Callable[[], bool]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if function() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def lock() -> Iterator[fork_lock.ForkLock]:
    made = fork_lock.ForkLock()
    yield made
    fork_lock._all.remove(made)


def test_what_another_thread_holds_is_free_in_a_child(lock: fork_lock.ForkLock) -> None:
    is_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with lock.held():
            is_held.set()
            may_go.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()
    assert code_of_child(lambda: lock.now.acquire(blocking=False)) == 0
    assert not lock.now.acquire(blocking=False)  # in this process it is still held
    may_go.set()
    thread.join()
    assert lock.now.acquire(blocking=False)


def test_who_forks_inside_goes_on_in_both(lock: fork_lock.ForkLock) -> None:
    def fork_inside() -> int:
        with lock.held():
            pid = os.fork()
        return pid

    pid = fork_inside()
    if pid == 0:
        os._exit(0 if lock.now.acquire(blocking=False) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert lock.now.acquire(blocking=False)


def test_a_line_that_is_said_inside_another_one_waits_for_nobody() -> None:
    with messages.speech.held(), messages.speech.held():
        messages.say("once more")
