"""The algebra of merging: whatever people did to their copies, the union is the same in every order, and verifies."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.stores import alone
from helpers.team_stores import World, ask, differences, runs_of
from histhooks import team
from histhooks.verify import verify

DEEDS = ("train", "train", "copy", "copy", "go on", "delete", "redact", "rename", "tag", "export", "spool")
HISTORIES = st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 3), st.integers(0, 5)), min_size=3, max_size=9)


def merged(folder: Path, name: str, *sources: Path) -> Path:
    path = folder / f"{name}.db"
    done = team.merge(*sources, into=path)
    assert done.ok, done
    return path


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(HISTORIES)
def test_the_union_is_the_same_in_every_order_and_verifies(deeds: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        world = World(Path(name) / "world")
        for what, which, size in deeds:
            world.do(what, which, size)
        check(world, Path(name))


def check(world: World, folder: Path) -> None:
    files = world.files[:3]
    whole = merged(folder, "whole", *files)
    report = verify(whole)
    assert report.ok, report.problems
    code, said = alone(whole)
    assert code == 0, said
    sql = "SELECT subject_id FROM tombstones WHERE action = 'delete'"
    assert not {key for file in files for (key,) in ask(file, sql)} & set(runs_of(whole))
    for number, order in enumerate(itertools.permutations(files)):
        assert differences(whole, merged(folder, f"order {number}", *order)) == {}
    assert differences(whole, merged(folder, "twice", *files, *files)) == {}
    assert differences(whole, merged(folder, "again", whole, files[0])) == {}
    assert differences(whole, merged(folder, "itself", whole)) == {}
    step = folder / "steps.db"
    for file in files:
        team.merge(file, into=step)
    assert differences(whole, step) == {}
    if len(files) == 3:
        left = merged(folder, "left", merged(folder, "ab", *files[:2]), files[2])
        right = merged(folder, "right", files[0], merged(folder, "bc", *files[1:]))
        assert differences(left, right) == {}
        assert differences(whole, left) == {}
    everything = merged(folder, "everything", *world.files)
    assert not world.deleted & set(runs_of(everything))
    assert not {word for word in world.words if word.encode() in everything.read_bytes()}
    assert ask(everything, "SELECT count(*) FROM sessions")[0][0] >= ask(whole, "SELECT count(*) FROM sessions")[0][0]
