"""What led to something and what came of it: the graph, its bounds, and what a person may name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.lineages import make, make_wide
from histhooks import History, QueryError
from histhooks.history import Lineage
from histhooks.testing import run_program


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("lineage") / "h.db")


@pytest.fixture(scope="module")
def history(store: Path) -> Iterator[History]:
    with History(store) as found:
        yield found


def named(found: Lineage) -> dict[str, int]:
    """The level of each node, by kind and name."""
    return {f"{node.kind} {node.name}": node.level for node in found.nodes}


def links(found: Lineage) -> set[str]:
    names = {node.id: node.name for node in found.nodes}
    return {f"{names[link.source]} {link.kind} {names[link.target]} {link.detail}".strip() for link in found.links}


def test_a_run_has_what_led_to_it_and_what_came_of_it(history: History) -> None:
    found = history.lineage("fine-tune")
    assert named(found) == {
        "run fine-tune": 0, "data train": -1, "data test": -1, "file c2.pt": -1, "run pretrain": -1,
        "file clean.csv": -2, "run prepare": -3, "file raw.csv": -4, "file model.pt": 1, "version churn@1": 2,
        "run judge": 2,
    }  # fmt: skip
    assert links(found) == {
        "train data pretrain train", "train data fine-tune train", "test data fine-tune test", "test data judge test",
        "raw.csv reads prepare file", "prepare writes clean.csv data", "clean.csv reads pretrain file",
        "pretrain writes c2.pt checkpoint", "c2.pt reads fine-tune checkpoint", "pretrain fine-tunes fine-tune",
        "fine-tune writes model.pt model", "model.pt version churn@1", "model.pt reads judge model",
    }  # fmt: skip
    assert found.folds == ()


def test_it_never_goes_sideways(history: History) -> None:
    found = named(history.lineage("judge"))
    assert "run pretrain" in found
    assert "file c0.pt" not in found  # which pretrain wrote, and nothing of this came of
    assert "version churn@1" not in found


def test_what_led_to_a_part_of_a_run_led_to_the_run(history: History) -> None:
    found = named(history.lineage("search"))
    assert found["run candidate 1"] == 1
    assert found["file part1"] == 2
    assert found["file clean.csv"] == 0  # up from what is one below
    part = named(history.lineage("candidate 1"))
    assert (part["run search"], "run candidate 2" in part) == (-1, False)


@pytest.mark.parametrize(
    ("words", "kind", "name"),
    [
        ("churn@1", "version", "churn@1"), ("churn@production", "version", "churn@1"), ("model.pt", "file", "model.pt"),
        ("last", "run", "alone"), ("judge", "run", "judge"),
    ],
)  # fmt: skip
def test_a_person_may_name_a_run_a_file_or_a_version(
    history: History, store: Path, monkeypatch: pytest.MonkeyPatch, words: str, kind: str, name: str
) -> None:
    monkeypatch.chdir(store.parent)
    monkeypatch.setenv("HISTHOOKS_PROJECT", "none")
    root = history.lineage(words).root
    assert (root.kind, root.name) == (kind, name)


def test_a_hash_or_its_beginning_is_enough(history: History) -> None:
    run = history.run("fine-tune")
    sha256, data = run.artifacts[0]["sha256"], run.datasets[0]
    for text in (sha256, sha256[:9].upper()):
        assert history.lineage(text).root.id == sha256
    assert history.lineage(data["id"][:12]).root.id == data["id"]
    assert history.lineage(data["content_hash"]).root.kind == "data"
    for record in (run, run.artifacts[0], history.version("churn@1")):
        assert history.lineage(record) == history.lineage(getattr(record, "id", sha256))


def test_the_depth_cuts_it_and_says_what_is_beyond(history: History) -> None:
    found = history.lineage("fine-tune", depth=1)
    assert max(abs(level) for level in named(found).values()) == 1
    assert {(found.node(fold.of).name, fold.way, fold.kind, fold.what, fold.count) for fold in found.folds} == {
        ("pretrain", "up", "reads", "file", 1), ("model.pt", "down", "reads", "run", 1),
        ("model.pt", "down", "version", "version", 1),
    }  # fmt: skip
    alone = history.lineage("fine-tune", depth=0)
    assert (len(alone.nodes), alone.links) == (1, ())
    assert sum(fold.count for fold in alone.folds) == len(found.nodes) - 1


def test_a_large_group_is_counted_and_what_leads_on_is_shown(tmp_path: Path) -> None:
    with History(make_wide(tmp_path / "wide.db", 300)) as history:
        found = history.lineage("base")
        assert len(found.nodes) <= 200
        folds = {(found.node(fold.of).name, fold.kind): fold.count for fold in found.folds}
        readers = sum(link.source == found.node(found.nodes[1].id).id for link in found.links)
        assert folds["base.pt", "reads"] + readers == 300
        assert len(history.lineage("base", limit=16).nodes) <= 16
        data = next(run for run in history.runs() if run.name == "run 5").datasets[0]["id"]
        assert sum(fold.count for fold in history.lineage(data, depth=1).folds if fold.of == data) == 300 - 25
        assert history.lineage("run 0").nodes[-1].name == "chosen"


def test_what_nobody_knows_is_named(history: History, tmp_path: Path) -> None:
    (tmp_path / "other.pt").write_text("nobody made me")
    for words, why in (
        ("nothing", "no file here and no hash"), (str(tmp_path / "other.pt"), "no run .* made or read"),
        ("churn@7", "no version 7"), ("f" * 64, "no file, data or version"),
    ):  # fmt: skip
        with pytest.raises(QueryError, match=why):
            history.lineage(words)
    for bad in ({"depth": -1}, {"limit": 0}):
        with pytest.raises(QueryError, match="number"):
            history.lineage("last", **bad)
    with pytest.raises(QueryError, match="not in the lineage"):
        history.lineage("alone").node("x")


def test_a_run_that_reads_what_it_writes_ends(tmp_path: Path) -> None:
    program = """
    import histhooks
    from pathlib import Path
    Path("a").write_text("a")
    for name in ("one", "two"):
        with histhooks.start_run(name) as run:
            run.log_artifact("a", direction="in"); run.log_artifact("a")
    """
    assert run_program(program, tmp_path / "loop.db")[0] == 0
    with History(tmp_path / "loop.db") as history:
        found = history.lineage("two")
        assert links(found) == {
            "a reads two file", "two writes a file", "a reads one file", "one writes a file",
        }  # fmt: skip


def test_what_a_program_read_by_itself_led_to_its_runs(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    program = """
    import numpy, histhooks
    from pathlib import Path
    histhooks.autolog()
    with histhooks.start_run("maker") as run:
        numpy.save("x.npy", numpy.arange(9)); run.log_artifact("x.npy", role="data")
    """
    reader = """
    import histhooks
    histhooks.autolog()
    import numpy
    numpy.load("x.npy")
    with histhooks.start_run("user") as run:
        run.log({"loss": 1.0})
    """
    store = tmp_path / "reads.db"
    assert run_program(program, store)[0] == 0
    assert run_program(reader, store)[0] == 0
    with History(store) as history:
        reads = history.run("user").file_reads
        if not reads:
            pytest.skip("this NumPy's load is not seen")
        found = history.lineage("user")
        assert links(found) >= {"maker writes x.npy data", "x.npy reads user"}


def test_a_content_has_all_runs_that_touched_it(history: History) -> None:
    run = history.run("fine-tune")
    file = history.content(run.artifacts[1]["sha256"])
    assert (file.kind, file.name, file.facts["role"], file.facts["versions"]) == (
        "file",
        "model.pt",
        "model",
        ["churn@1"],
    )
    assert [(use.name, use.how) for use in file.uses] == [
        ("judge", "read"),
        ("fine-tune", "read"),
        ("fine-tune", "wrote"),
    ]
    assert file.n_runs == 2
    data = history.content(run.datasets[0]["id"][:10])
    assert (data.kind, data.facts["n_rows"], [use.name for use in data.uses]) == ("data", 2, ["fine-tune", "pretrain"])
    session = history.content(run.session["id"])
    assert (session.kind, session.n_runs) == ("session", 9)
    assert {use.how for use in session.uses} == {"inside"}
    code = history.content(run.code["id"])
    assert (code.kind, code.n_runs, code.facts["dirty"]) == ("code", 9, run.code["dirty"])
    assert history.content(run.session["id"][-12:], kind="session") == session
    assert history.content(file.id, limit=1).uses == file.uses[:1]
    assert history.content(file.id).as_json()["uses"][0]["name"] == "judge"


def test_a_content_that_is_not_there_is_named(history: History) -> None:
    for words, why in (
        (("f" * 64,), "no file, data, code or session"),
        (("x",), "no file"),
        (("ab' OR 1",), "no file"),
    ):
        with pytest.raises(QueryError, match=why):
            history.content(*words)
    with pytest.raises(QueryError, match="kind is one of"):
        history.content("abcdef", kind="model")
    with pytest.raises(QueryError, match="no code"):
        history.content(history.run("fine-tune").artifacts[0]["sha256"], kind="code")


@pytest.mark.one_engine("it trains for long")
def test_a_checkpoint_that_a_program_loads_leads_from_run_to_run(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    first = """
    import torch, histhooks
    histhooks.autolog("torch")
    model = torch.nn.Linear(2, 1); optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad(); model(torch.ones(4, 2)).mean().backward(); optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, "ck.pt")
    """
    second = """
    import torch, histhooks
    histhooks.autolog("torch")
    kept = torch.load("ck.pt")
    model = torch.nn.Linear(2, 1); optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.load_state_dict(kept["model"]); optimizer.load_state_dict(kept["optimizer"])
    for _ in range(3):
        optimizer.zero_grad(); model(torch.ones(4, 2)).mean().backward(); optimizer.step()
    """
    store = tmp_path / "torch.db"
    for program in (first, second):
        code, _, error = run_program(program, store)
        assert code == 0, error
    with History(store) as history:
        runs = history.runs()
        found = history.lineage(runs[0])
        assert [(node.kind, node.id) for node in found.nodes[1:]][-1] == ("run", runs[1].id)
        kinds = [link.kind for link in found.links]
        assert "writes" in kinds
        assert {"resumes", "continues"} & {*kinds}
