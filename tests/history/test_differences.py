"""What differs between two runs, on trainings that were recorded for real."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import histhooks
from histhooks._views.change_words import gain
from histhooks.testing import run_program

PROGRAM = """
import histhooks
histhooks.autolog("sklearn")
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
X, y = load_iris(return_X_y=True)
LogisticRegression(C=1.0, max_iter=500).fit(X, y)
with histhooks.start_run("scores") as run:
    run.log_dataset("train", X, y)
    run.log({"acc": 0.5, "loss": 0.25})
"""


def runs(history: histhooks.History, name: str) -> list[Any]:
    """Outer runs of that name, the oldest first."""
    return [run for run in reversed(history.runs(is_nested=False)) if run.name == name]


def git(folder: Path, *words: str) -> str:
    who = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
    environment = {**os.environ, **dict.fromkeys(who, "someone@example.org")}
    done = subprocess.run(["git", *words], cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout


def train(program: Path, **variables: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "HISTHOOKS_STORE"} | variables
    command = [sys.executable, "-W", "ignore", program.name]
    subprocess.run(command, cwd=program.parent, env=environment, check=True, timeout=120)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "train.py").write_text(PROGRAM)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_each_part_tells_what_changed(trained: Path) -> None:
    with histhooks.History(trained) as history:
        found = history.diff(*runs(history, "classic·Pipeline"))
        assert found.differs is True
        (content,) = found.part("data").changes
        assert content.key == "train content"
        changed = {change.key: (change.a, change.b) for change in found.part("params").changes}
        assert changed == {"logisticregression__C": (1.0, 0.5), "logisticregression__max_iter": (200, 300)}
        assert "commit" in {change.key for change in found.part("code").changes}
        assert "environment" in found.same
        assert all(not change.counts for change in found.part("seeds").changes)
        assert found.part("seeds").notes == ()  # both split by train_test_split(random_state=0)


def test_data_that_changed_tells_which_columns_moved_and_how(store_path: Path) -> None:
    program = """
import histhooks, pandas as pd
for shift in (0, 10):
    frame = pd.DataFrame({"age": [20, 30 + shift], "city": ["Rome", "Oslo" + "x" * shift], "same": [1.5, 2.5]})
    with histhooks.start_run("shifted") as run:
        run.log_dataset("train", frame, [0, 1 if shift else 0])
"""
    variables = {**os.environ, "HISTHOOKS_STORE": str(store_path)}
    subprocess.run([sys.executable, "-c", program], env=variables, check=True, timeout=60)
    with histhooks.History(store_path) as history:
        part = history.diff(*runs(history, "shifted")).part("data")
    assert [change.key for change in part.changes] == ["train content"]
    age, city, target = part.notes
    assert age == "train X age: max 30 → 40, mean 25.0 → 30.0, std 5.0 → 10.0"
    assert city == "train X city: max_length 4 → 14, mean_length 4.0 → 9.0"
    assert "classes.0 2 → 1" in target


def test_a_network_tells_seeds_layers_and_which_metrics_became_worse(trained: Path) -> None:
    with histhooks.History(trained) as history:
        a, b = runs(history, "network·Sequential")
        found = history.diff(a, b)
        assert [(c.a, c.b) for c in found.part("seeds").changes if c.counts] == [("1", "2")]
        shape = {change.key: (change.a, change.b) for change in found.part("architecture").changes}
        assert shape["parameters"] == (1210, 1810)
        assert (16, 24) in shape.values()
        for change in found.part("metrics").changes:
            if change.key == "val_loss":
                best = [min(point["value"] for point in run.metrics("val_loss")) for run in (a, b)]
                assert [change.a["best"], change.b["best"]] == best
                assert change.note == ("worse" if best[1] > best[0] else "better")
        assert found.part("params").changes == ()
        assert {c.key for c in found.part("optimizer").changes} == {"learning_rate", "parameters"}
        back = {c.key: c.note for c in history.diff(b, a).part("metrics").changes}
        opposite = {"better": "worse", "worse": "better", None: None}
        assert {c.key: opposite[c.note] for c in found.part("metrics").changes} == back


def test_a_loop_tells_groups_schedule_and_the_weights_it_began_from(trained: Path) -> None:
    with histhooks.History(trained) as history:
        a, b = runs(history, "loop·Sequential")
        found = history.diff(a, b)
        optimizer = {change.key: (change.a, change.b) for change in found.part("optimizer").changes}
        assert optimizer["group 0 lr"] == (0.05, 0.1)
        assert optimizer["schedule base_lrs"] == ([0.05, 0.2], [0.1, 0.2])
        assert "group 1 lr" not in optimizer
        read = {change.key: (change.kind, change.b) for change in found.part("files read").changes}
        written = ("added", a.artifacts[-1]["sha256"])
        assert read == {"checkpoint last.pt": written, "continues": written}
        assert "architecture" in found.same


def test_the_patch_leads_from_the_files_of_a_to_those_of_b(trained: Path, tmp_path: Path) -> None:
    with histhooks.History(trained) as history:
        a, b = runs(history, "classic·Pipeline")
        patch = history.diff(a, b).patch
        assert patch is not None
        assert (patch.kind, patch.notes) == ("states", [])
        back, commit = history.diff(b, a).patch, a.code["commit_hash"]
    git(tmp_path, "clone", "-q", str(trained.parent), "clone")
    clone = tmp_path / "clone"
    git(clone, "checkout", "-q", commit)
    before = (clone / "features.py").read_text()
    subprocess.run(["git", "apply", "-"], cwd=clone, input=patch.text, text=True, check=True)
    for name in ("classic.py", "features.py", "helpers.py"):
        assert (clone / name).read_text() == (trained.parent / name).read_text()
    assert back is not None
    subprocess.run(["git", "apply", "-"], cwd=clone, input=back.text, text=True, check=True)
    assert (clone / "features.py").read_text() == before
    assert not (clone / "helpers.py").exists()


@pytest.mark.one_engine("it is about git")
def test_the_repository_is_left_as_it_is(trained: Path) -> None:
    def look() -> list[tuple[str, int, int]]:
        files = [path for path in trained.parent.rglob("*") if path.is_file() and "histhooks.db" not in path.name]
        return sorted((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files)

    before = look()
    with histhooks.History(trained) as history:
        assert history.diff(*runs(history, "loop·Sequential")).patch is not None
    assert look() == before


@pytest.mark.one_engine("it is about a file that was moved")
def test_where_the_repository_is_not_here_it_says_so_and_shows_what_it_can(trained: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    shutil.copy(trained, copy)
    connection = sqlite3.connect(copy)
    connection.execute("UPDATE sessions SET cwd = '/nowhere'")
    connection.execute("UPDATE code_versions SET repository = 'https://example.org/nowhere.git'")
    connection.commit()
    connection.close()
    with histhooks.History(copy) as history:
        patch = history.diff(*runs(history, "classic·Pipeline")).patch
        assert patch is not None
        assert patch.kind == "recorded"
        assert any("no repository here has both commits" in note for note in patch.notes)
        assert "+++ b/helpers.py" in (patch.text or "")
        git(tmp_path, "clone", "-q", str(trained.parent), "clone")
        os.chdir(tmp_path / "clone")  # own_place puts the folder back
        patch = history.diff(*runs(history, "classic·Pipeline")).patch
        assert patch is not None
        assert patch.kind == "states"


@pytest.mark.one_engine("it trains for long")
def test_the_same_program_twice_does_not_differ_in_what_counts(repository: Path) -> None:
    train(repository / "train.py")
    train(repository / "train.py")
    with histhooks.History(repository / "histhooks.db") as history:
        for name in ("train·LogisticRegression", "scores"):
            found = history.diff(*runs(history, name))
            assert found.differs is False, found.as_json()
            assert {"data", "code", "packages", "environment"} <= set(found.same)


@pytest.mark.one_engine("it is about git")
def test_a_new_file_that_no_run_imported_is_named_and_does_not_count(repository: Path) -> None:
    train(repository / "train.py")
    (repository / "scratch.py").write_text("x = 1\n")
    train(repository / "train.py")
    with histhooks.History(repository / "histhooks.db") as history:
        found = history.diff(*runs(history, "scores"))
        told = [(change.key, change.counts, change.note) for change in found.part("code").changes]
        assert told == [("new file scratch.py", False, "not imported")]
        assert found.differs is False
        assert found.patch is None
    (repository / "late.py").write_text("y = 1\n")  # this one is imported after the recorder looked at what ran
    (repository / "train.py").write_text(
        PROGRAM + "\nimport time; time.sleep(1); import late\nhisthooks.start_run('end').end()\n"
    )
    train(repository / "train.py")
    with histhooks.History(repository / "histhooks.db") as history:
        found = history.diff(runs(history, "scores")[0], runs(history, "scores")[-1])
        assert found.patch is not None
        assert "+++ b/late.py" in (found.patch.text or "")
        assert "scratch.py" not in (found.patch.text or "")


@pytest.mark.one_engine("it is about git")
def test_a_commit_of_what_was_there_already_is_the_same_code(repository: Path) -> None:
    (repository / "more.py").write_text("x = 1\n")
    (repository / "train.py").write_text(PROGRAM + "# said later\n")
    train(repository / "train.py")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "second")
    train(repository / "train.py")
    with histhooks.History(repository / "histhooks.db") as history:
        found = history.diff(*runs(history, "scores"))
        assert "commit" in {change.key for change in found.part("code").changes}
        assert found.differs is False, found.as_json()
        assert any("same files" in note for note in found.part("code").notes)


@pytest.mark.one_engine("it is about git")
@pytest.mark.parametrize("prefix", ["true", "false"])
def test_any_setting_of_git_about_prefixes_is_understood(repository: Path, prefix: str) -> None:
    git(repository, "config", "diff.noprefix", prefix)
    git(repository, "config", "diff.mnemonicPrefix", "true")
    train(repository / "train.py")
    (repository / "train.py").write_text(PROGRAM + "# said later\n")
    train(repository / "train.py")
    with histhooks.History(repository / "histhooks.db") as history:
        patch = history.diff(*runs(history, "scores")).patch
        assert patch is not None
        assert (patch.kind, patch.n_lines) == ("states", (1, 0))
        assert "--- a/train.py" in (patch.text or "")


@pytest.mark.one_engine("it is about git")
def test_a_changed_binary_file_takes_nothing_else_from_the_patch(repository: Path) -> None:
    (repository / "data.bin").write_bytes(bytes(range(256)))
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "data")
    train(repository / "train.py")
    (repository / "data.bin").write_bytes(bytes(reversed(range(256))))
    (repository / "train.py").write_text(PROGRAM + "# said later\n")
    train(repository / "train.py")
    with histhooks.History(repository / "histhooks.db") as history:
        patch = history.diff(*runs(history, "scores")).patch
        assert patch is not None
        assert (patch.kind, patch.n_lines) == ("states", (1, 0))
        assert any("1 changed binary file" in note for note in patch.notes)


@pytest.mark.one_engine("it is about git")
def test_a_clone_with_parts_left_out_fetches_nothing(repository: Path, tmp_path: Path) -> None:
    train(repository / "train.py")
    (repository / "train.py").write_text(PROGRAM + "# said later\n")
    train(repository / "train.py")
    shutil.copy(repository / "histhooks.db", tmp_path / "copy.db")
    shutil.rmtree(repository)
    repository.mkdir()
    git(repository, "init", "-q")
    for key, value in (
        ("core.repositoryformatversion", "1"), ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"), ("protocol.ext.allow", "always"),
        ("remote.origin.url", f"ext::touch {tmp_path / 'fetched'}"),
    ):  # fmt: skip
        git(repository, "config", key, value)
    with histhooks.History(tmp_path / "copy.db") as history:
        patch = history.diff(*runs(history, "scores")).patch
    assert patch is not None
    assert patch.kind == "recorded"
    assert not (tmp_path / "fetched").exists()


@pytest.mark.one_engine("it is about git")
@pytest.mark.parametrize(("lines", "kind"), [(4_000, "states"), (60_000, "recorded")])
def test_a_long_diff_is_whole_and_one_that_was_cut_says_so(repository: Path, lines: int, kind: str) -> None:
    train(repository / "train.py")
    (repository / "train.py").write_text(PROGRAM + "".join(f"# and this is line {n}\n" for n in range(lines)))
    train(repository / "train.py")
    with histhooks.History(repository / "histhooks.db") as history:
        a, b = runs(history, "scores")
        patch = history.diff(a, b).patch
        assert patch is not None
        assert patch.kind == kind
        if kind == "states":
            assert patch.n_lines == (lines, 0)
            assert (b.code_diff or "").endswith(f"+# and this is line {lines - 1}\n")
        else:
            assert any("characters of its diff were not kept" in note for note in patch.notes)
            assert any("does not apply" in note for note in patch.notes)


@pytest.mark.one_engine("it trains for long")
def test_a_masked_diff_says_so(repository: Path) -> None:
    train(repository / "train.py")
    (repository / "train.py").write_text(PROGRAM + 'password = "hunter2-hunter2"\n')
    train(repository / "train.py")
    with histhooks.History(repository / "histhooks.db") as history:
        found = history.diff(*runs(history, "scores"))
        assert found.patch is not None
        assert any("masked" in note for note in found.patch.notes)
        assert "hunter2" not in str(found.as_json())
        assert found.differs is True


def test_what_was_not_recorded_is_apart_from_no_difference(tmp_path: Path) -> None:
    histhooks.autolog(store=tmp_path / "a.db")
    for name in ("first", "second"):
        with histhooks.start_run(name, params={"lr": 0.1}) as run:
            run.log({"loss": 0.5})
    histhooks.flush()
    with histhooks.History(tmp_path / "a.db") as history:
        found = history.diff("first", "second")
        assert found.differs is None
        assert found.part("data").unknown == ("A: no data was recorded", "B: no data was recorded")
        assert "data" not in found.same
        assert {"params", "metrics"} <= set(found.same)


def test_of_mappings_only_what_differs_in_them_is_told(tmp_path: Path) -> None:
    histhooks.autolog(store=tmp_path / "a.db")
    for name, depth in (("first", 2), ("second", 5)):
        with histhooks.start_run(name) as run:
            run.log_results({"config": {"tree": {"depth": depth, "eta": 0.1}, "kind": "tree"}})
    histhooks.flush()
    with histhooks.History(tmp_path / "a.db") as history:
        (change,) = history.diff("first", "second").part("results").changes
        assert (change.key, change.a, change.b, change.kind) == ("config.tree.depth", 2, 5, "changed")


def test_a_seed_among_the_params_is_a_seed(tmp_path: Path) -> None:
    histhooks.autolog(store=tmp_path / "a.db")
    for name, seed in (("first", 2), ("second", 5), ("third", None)):
        histhooks.start_run(name, params={"seed": seed, "clf__random_state": None}).end()
    histhooks.flush()
    with histhooks.History(tmp_path / "a.db") as history:
        found = history.diff("first", "second")
        assert [(c.key, c.a, c.b) for c in found.part("params").changes] == [("seed", 2, 5)]
        assert found.part("seeds").notes == ()
        assert history.diff("first", "third").part("seeds").notes == ("B: no seed was set",)


def test_folds_are_compared_by_their_mean(trained: Path) -> None:
    with histhooks.History(trained) as history:
        a, b = (runs(history, "classic·GridSearchCV")[1].children[n] for n in (0, 2))
        (change,) = [c for c in history.diff(a, b).part("metrics").changes if c.key == "test_score"]
        means = [run.results["mean_test_score"] for run in (a, b)]
        assert [change.a["mean"], change.b["mean"]] == pytest.approx(means)
        assert change.note == ("better" if means[1] > means[0] else "worse")


def test_metrics_may_be_close_enough_and_nan_is_the_same_as_nan(tmp_path: Path) -> None:
    histhooks.autolog(store=tmp_path / "a.db")
    for name, value in (("first", 0.5), ("second", 0.5000001)):
        with histhooks.start_run(name) as run:
            run.log({"loss": value, "odd": float("nan")})
            run.log_results({"score": value, "fit_time": value * 3})
    histhooks.flush()
    with histhooks.History(tmp_path / "a.db") as history:
        found = history.diff("first", "second")
        assert [change.key for change in found.part("metrics").changes] == ["loss"]
        assert [(c.key, c.counts) for c in found.part("results").changes] == [("score", True), ("fit_time", False)]
        assert found.differs is True
        close = history.diff("first", "second", tolerance=1e-5)
        assert close.part("metrics").changes == ()
        assert close.differs is None


@pytest.mark.one_engine("it trains for long")
def test_the_arguments_of_the_program_count_and_what_was_erased_cannot_be_told(tmp_path: Path) -> None:
    program = tmp_path / "train.py"
    program.write_text("import histhooks, sys\nwith histhooks.start_run('a') as run:\n    run.log({'loss': 1.0})\n")
    store = tmp_path / "histhooks.db"

    def train(*words: str) -> None:
        environment = {**os.environ, "HISTHOOKS_STORE": str(store)}
        command = [sys.executable, "-W", "ignore", str(program), *words]
        subprocess.run(command, env=environment, check=True, timeout=60)

    train("--epochs", "5", "--lr=-0.1", "data.csv")
    train("data.csv", "--lr", "-0.1", "--epochs=40", "--fast")
    train("data.csv", "--fast")
    with histhooks.History(store) as history:
        found = history.diff("last~2", "last~1")
        assert found.differs is True
        changes = [(c.key, c.a, c.b, c.kind) for c in found.part("command").changes]
        assert changes == [("--epochs", "5", "40", "changed"), ("--fast", None, True, "added")]
        assert "command" in history.diff("last~1", "last~1").same
        erased = history.run("last").id
    words = [sys.executable, "-m", "histhooks", "redact", "--run", "last", "--reason", "asked", "--yes"]
    subprocess.run([*words, "--store", str(store)], check=True, timeout=60)
    with histhooks.History(store) as history:
        found = history.diff("last~1", erased)
        assert found.part("command").unknown == ("B: its command was erased",)
        assert "command" not in found.same


LARGE = """
import histhooks, numpy
from histhooks._record.data_looks import looks
histhooks.autolog("sklearn")
X = numpy.random.default_rng(0).normal(size=(100_000, 3))
for value in (1.0, 1.0, 2.0):
    X[70_000, 1] = value
    with histhooks.start_run("large") as run:
        run.log_dataset("train", X)
        looks.settle(60.0)
"""


@pytest.mark.one_engine("it trains for long")
@pytest.mark.parametrize("mode", ["full", "profile"])
def test_large_data_is_the_same_or_not_by_its_digest_and_else_cannot_be_told(store_path: Path, mode: str) -> None:
    variables = {**os.environ, "HISTHOOKS_STORE": str(store_path), "HISTHOOKS_DATA": mode}
    subprocess.run([sys.executable, "-c", LARGE], env=variables, check=True, timeout=120)
    with histhooks.History(store_path) as history:
        a, b, c = runs(history, "large")
        same, other = history.diff(a, b), history.diff(b, c)
    if mode == "full":
        assert "data" in same.same
        assert [change.key for change in other.part("data").changes] == ["train content"]
        assert other.differs is True
        return
    assert "data" not in same.same
    assert same.differs is None
    assert same.part("data").unknown == (
        "train: sampled: cannot tell; as far as it was hashed, a sample of it, it is the same",
    )
    # What a profile counts of all values differs, although the sample that was hashed is the same.
    assert [change.key for change in other.part("data").changes] == ["train profile"]


def test_the_same_data_in_another_container_has_the_same_content(store_path: Path) -> None:
    program = """
import histhooks, numpy
for X in ([[1.0, 2.0], [3.0, 4.5]], numpy.array([[1.0, 2.0], [3.0, 4.5]])):
    with histhooks.start_run("either") as run:
        run.log_dataset("train", X)
"""
    variables = {**os.environ, "HISTHOOKS_STORE": str(store_path)}
    subprocess.run([sys.executable, "-c", program], env=variables, check=True, timeout=60)
    with histhooks.History(store_path) as history:
        part = history.diff(*runs(history, "either")).part("data")
    assert "train content" not in [change.key for change in part.changes]
    assert "train kind" in [change.key for change in part.changes]


def test_a_score_that_is_better_on_other_data_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = """
import numpy as np, histhooks
from sklearn.linear_model import Ridge
histhooks.autolog(store="h.db")
X = np.random.default_rng(0).normal(size=(200, 3)); y = X @ [1.0, 2.0, 3.0]
for alpha, rows in ((50.0, slice(100, 150)), (1.0, slice(100, 150)), (0.1, slice(150, 200))):
    Ridge(alpha=alpha).fit(X[:100], y[:100]).score(X[rows], y[rows])
"""
    (tmp_path / "t.py").write_text(program)
    subprocess.run([sys.executable, "t.py"], check=True, cwd=tmp_path)
    with histhooks.History(tmp_path / "h.db") as history:
        first, second, third = sorted(history.runs(kind="fit"), key=lambda run: run.started_at)

        def words(a: Any, b: Any) -> str:
            return gain(next(one for one in history.diff(a, b).part("metrics").changes if one.key == "score"))

        assert words(first, second).startswith("better by ")
        assert "other data" not in words(first, second)
        assert words(second, third).endswith(", on other data")


def test_what_is_left_out_does_not_count_and_is_not_called_the_same(store_path: Path) -> None:
    program = """
import histhooks
for seed in (1, 2):
    with histhooks.start_run("net", params={"seed": seed, "seed_of_data": seed, "lr": 0.1}) as run:
        run.log({"loss": 1.0})
"""
    assert run_program(program, store_path)[0] == 0
    with histhooks.History(store_path) as history:
        found = history.diff("last~1", "last")
        assert [change.key for change in found.part("params").changes] == ["seed", "seed_of_data"]
        for words in (["params.seed*"], ["seed", "seed_of_data"], ["params"]):
            found = history.diff("last~1", "last", without=words)
            assert found.part("params").changes == ()
            assert "params" not in found.same
            assert "left out" in found.part("params").notes[-1]
            assert found.differs is not True
        one = history.diff("last~1", "last", without=["seed"]).part("params")
        assert ([change.key for change in one.changes], one.notes[-1]) == (["seed_of_data"], "left out: seed")
        titles = {column.title for column in history.compare("last~1", "last").columns}
        assert {"params.seed", "params.seed_of_data"} <= titles
        for without, gone in ((["seed"], {"params.seed"}), (["param"], {"params.seed", "params.seed_of_data"})):
            kept = {column.title for column in history.compare("last~1", "last", without=without).columns}
            assert titles - kept == gone
