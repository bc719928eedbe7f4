"""Random training loops: the record says which losses each step used, as an oracle knows it from the rule alone.

``HISTHOOKS_LOOPS=5000`` tries as many.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

MOST = int(os.environ.get("HISTHOOKS_LOOPS", "60"))


class Child:
    """The process that runs them, one after the other, into one store."""

    def __init__(self, folder: Path) -> None:
        ours = {"HISTHOOKS_STORE": str(folder / "loops.db"), "HISTHOOKS_QUIET": "1", "HISTHOOKS_STRICT": "1"}
        self.errors = folder / "stderr"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", str(Path(__file__).with_name("torch_machine.py"))],
                env={**os.environ, **ours}, cwd=folder, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip

    def played(self, threads: list[dict[str, Any]]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(threads) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, self.errors.read_text()[-3000:]
        found: dict[str, Any] = json.loads(answer)
        return found


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    child = Child(tmp_path_factory.mktemp("loops"))
    yield child
    child.process.stdin.close()  # type: ignore[union-attr]
    child.process.stdout.close()  # type: ignore[union-attr]
    child.process.wait(60)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    n_parts = draw(st.integers(1, 4))
    parts = st.integers(0, n_parts - 1)
    path = st.lists(parts, min_size=1, max_size=3)
    kinds = st.sampled_from(["sgd", "sgd", "momentum", "adam", "lbfgs"])
    optimizers = draw(st.lists(st.tuples(kinds, st.lists(parts, min_size=1, max_size=3)), min_size=1, max_size=3))
    which = st.integers(0, len(optimizers) - 1)

    def operation(name: str, *given: st.SearchStrategy[Any]) -> st.SearchStrategy[list[list[Any]]]:
        return st.tuples(st.just(name), *given).map(lambda one: [list(one)])

    @st.composite
    def usual(draw: st.DrawFn) -> list[list[Any]]:
        """Some steps as most loops make them."""
        o, to_none, way = draw(which), draw(st.booleans()), draw(st.sampled_from(["first", "last"]))
        turn = [["backward", draw(path)] for _ in range(draw(st.integers(1, 3)))]
        if draw(st.integers(0, 3)) == 0:
            turn.append(["changed_in_place", o, draw(st.sampled_from(["clip", "scale"]))])
        turn.append(["step", o])
        zero = ["zero", o, to_none]
        return ([zero, *turn] if way == "first" else [*turn, zero]) * draw(st.integers(1, 5))

    some = [
        usual(), usual(), usual(),
        operation("zero", which, st.booleans()),
        operation("zero_part", parts, st.booleans()),
        operation("zero_by_hand", parts, st.integers(0, 1), st.booleans()),
        operation("backward", path), operation("backward", path, st.integers(1, 3)),
        operation("backward_to", path, parts),
        operation("backward_of_several", path, path),
        operation("backward_of_a_vector", path),
        operation("backward_with_graph", path),
        operation("backward_that_fails", path),
        operation("gradient", path),
        operation("changed_in_place", which, st.sampled_from(["clip", "scale"])),
        operation("step", which), operation("step", which, st.just("none")),
        operation("step_with_closure", which, st.lists(path, min_size=1, max_size=2), st.booleans()),
        operation("validate", path),
        operation("attack", path, st.integers(1, 3)),
    ]  # fmt: skip
    turns = draw(st.lists(st.one_of(some), min_size=1, max_size=12))
    operations = [one for turn in turns for one in turn]
    if draw(st.integers(0, 4)) == 0:
        operations.insert(draw(st.integers(0, len(operations))), ["copy", draw(which)])
        operations += [one for one in operations if one[0] in ("zero", "step")][:4]
        operations += [["backward", [n_parts]], ["step", len(optimizers)], ["step", 0]]
    return {"parts": n_parts, "optimizers": optimizers, "operations": operations, "seed": draw(st.integers(0, 99))}


def checked(answer: dict[str, Any]) -> None:
    wanted, found = (sorted([tuple(map(tuple, one)) for one in answer[name]]) for name in ("wanted", "found"))
    left = list(found)
    for one in wanted:
        assert one in left, f"a series must be {one}; the record has {found}"
        left.remove(one)
    assert sorted(value for one in left for _, value in one) == answer["inner"]


@settings(max_examples=MOST, deadline=None, report_multiple_bugs=False, suppress_health_check=list(HealthCheck))
@given(specs())
def test_each_step_has_the_loss_of_the_backwards_that_it_used(child: Child, spec: dict[str, Any]) -> None:
    checked(child.played([spec]))


@settings(max_examples=max(2, MOST // 10), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(specs(), min_size=2, max_size=6))
def test_loops_in_threads_have_their_own_losses(child: Child, threads: list[dict[str, Any]]) -> None:
    checked(child.played(threads))
