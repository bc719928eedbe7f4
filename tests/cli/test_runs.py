"""`histhooks runs`: what a person sees, at any width, and what a program gets."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import histhooks
from helpers import verbs
from histhooks._base.ids import short_id
from histhooks._views import table

PROGRAM = """
import histhooks
def train(lr, **more):
    with histhooks.start_run("sweep", params={"lr": lr, "same": 1, **more}) as run:
        run.log({"val_loss": 1.0}); run.log({"val_loss": lr}); run.log({"val_loss": 2 * lr})
for number in range(6):
    train(0.1 * (number + 1))
with histhooks.start_run("parent", params={"C": 1}):
    with histhooks.start_run("child", params={"depth": 2}) as run:
        run.log({"accuracy": 0.5}); run.log({"accuracy": 0.25})
        with histhooks.start_run("grandchild", params={"leaf": float("nan")}):
            pass
try:
    with histhooks.start_run("broken"):
        raise ValueError("no good")
except ValueError:
    pass
"""


def record(path: Path, program: str = PROGRAM, project: str = "demo", **variables: str) -> None:
    environment = {**os.environ, "HISTHOOKS_STORE": str(path), "HISTHOOKS_QUIET": "1", "HISTHOOKS_PROJECT": project}
    done = subprocess.run([sys.executable, "-c", program], env={**environment, **variables}, timeout=300, check=False)
    assert done.returncode == 0


def ask(*words: str, width: int = 120, folder: Path | None = None, project: str = "") -> tuple[int, str, str]:
    return verbs.ask(*words, folder=folder, COLUMNS=str(width), HISTHOOKS_PROJECT=project)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "histhooks.db"
    record(path)
    record(path, "import histhooks; histhooks.start_run('elsewhere').end()", project="other")
    return path


def test_runs_of_one_call_site_are_one_row_that_names_the_best(store: Path) -> None:
    code, out, _ = ask("runs", str(store), project="demo")
    lines = out.splitlines()
    assert code == 0
    assert [line.split()[1] for line in lines[1:4]] == ["broken", "parent", "sweep"]
    row = lines[3]
    assert "×6" in row
    assert "lr=0.1…0.6" in row
    assert "same" not in out
    with histhooks.History(store) as history:
        best = history.runs(order_by="val_loss", limit=1)[0]
    assert row.startswith(best.id[-8:])
    assert "↓ val_loss" in row
    assert row.split().count("0.1") == 1  # the best of all
    assert row.split().count("0.2") == 1  # what that one ended with
    assert lines[4] == f"8 runs of demo in {store}" or lines[4].startswith("8 runs of demo in postgresql://")
    assert lines[-1] == "  1 of other projects with --all-projects"


def test_unfold_and_sort_show_each_run_and_only_what_varies(store: Path) -> None:
    _, out, _ = ask("runs", str(store), "--unfold", project="demo")
    assert out.count("sweep") == 6
    assert "lr=0.3" in out
    assert "same=1" not in out
    _, out, _ = ask("runs", str(store), "--sort", "val_loss", "--limit", "2", project="demo")
    assert [line.split()[2] for line in out.splitlines()[1:3]] == ["lr=0.1", "lr=0.2"]
    _, out, _ = ask("runs", str(store), "--sort", "val_loss", "--reverse", "--limit", "2", project="demo")
    assert "lr=0.6" in out.splitlines()[1]


def test_runs_of_this_project_else_of_all(store: Path) -> None:
    _, out, _ = ask("runs", str(store), project="other")
    assert "1 run of other in" in out
    assert "8 of other projects" in out
    for words, project in ((("-A",), "other"), ((), "nobody")):
        _, out, _ = ask("runs", str(store), *words, project=project)
        assert "elsewhere" in out
        assert "broken" in out
    assert "of all projects" in out
    _, out, _ = ask("runs", str(store), "--project", "dmo")
    assert "there are demo, other" in out


def test_children_are_counted_in_their_parent_and_shown_under_it(store: Path) -> None:
    _, out, _ = ask("runs", str(store), project="demo")
    assert "parent ▸1" in out
    assert "grandchild" not in out
    _, out, _ = ask("runs", str(store), "--children", project="demo")
    names = [line[10:].split("  finished")[0].rstrip() for line in out.splitlines()[2:5]]
    assert names == ["parent", "  └ child", "    └ grandchild"]


def test_a_condition_is_also_met_by_what_is_inside(store: Path) -> None:
    _, out, _ = ask("runs", str(store), "--where", "accuracy > 0.3", project="demo")
    assert [line.split()[1] for line in out.splitlines()[1:2]] == ["parent"]
    assert "1 run of demo" in out
    code, out, err = ask("runs", str(store), "--where", "val_los < 1")
    assert (code, out) == (2, "")
    assert err.splitlines()[0].endswith("did you mean val_loss?")
    assert err.splitlines()[2] == "  ^^^^^^^"
    _, out, _ = ask("runs", str(store), "--where", "status = failed", "-A")
    assert "ValueError" in out


@pytest.mark.parametrize("width", [40, 60, 80, 100, 133, 200])
def test_no_line_is_wider_than_the_terminal(store: Path, width: int) -> None:
    for words in ((), ("--children",), ("--sort", "val_loss"), ("--unfold", "-A")):
        _, out, _ = ask("runs", str(store), *words, width=width, project="demo")
        for line in out.splitlines()[:-1]:
            if not line.startswith(("  ×", "  1 of other")) and " in /" not in line and "://" not in line:
                assert table.cells(line) <= max(width, 58), line
        assert "sweep" in out


def test_a_running_run_is_on_top_with_its_progress(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    program = (
        "import histhooks, sys\n"
        "first = histhooks.start_run('early')\nfirst.update(epochs_planned=10)\n"
        "for epoch in range(3): first.log({'loss': 1.0 / (epoch + 1)}, step=epoch * 5, epoch=epoch)\n"
        "second = histhooks.start_run('steps')\nsecond.log({'loss': 0.5}, step=99)\n"
        "histhooks.start_run('done').end()\nhisthooks.flush()\nprint('ready', flush=True)\nsys.stdin.read()"
    )
    environment = {**os.environ, "HISTHOOKS_STORE": str(path)}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as live:
        assert live.stdout is not None
        assert live.stdout.readline() == "ready\n"
        _, out, _ = ask("runs", str(path))
        _, data, _ = ask("runs", str(path), "--json")
        for verb in (("show", str(path), "early"), ("tail", str(path), "early", "--once")):
            assert "2 of 10 epochs" in ask(*verb)[1]
        assert live.stdin is not None
        live.stdin.close()
    rows = out.splitlines()[1:4]
    assert [row.split()[1] for row in rows] == ["steps", "early", "done"]
    assert "step 100, " in rows[0]
    assert "2 of 10 epochs" in rows[1]
    assert [run["status"] for run in json.loads(data)] == ["running", "running", "finished"]


def test_programs_of_a_loop_in_the_shell_are_one_row_from_ten_on(tmp_path: Path) -> None:
    path, script = tmp_path / "loop.db", tmp_path / "train.py"
    script.write_text("import histhooks, sys\nhisthooks.start_run('a', params={'n': int(sys.argv[1])}).end()\n")
    environment = {**os.environ, "HISTHOOKS_STORE": str(path), "HISTHOOKS_QUIET": "1"}
    for number in range(11):
        subprocess.run([sys.executable, str(script), str(number)], env=environment, check=True, timeout=300)
        if number == 8:
            _, out, _ = ask("runs", str(path))
            assert "×" not in out
    _, out, _ = ask("runs", str(path))
    assert "×11" in out
    assert "n=0…10" in out


def test_a_row_counts_all_of_its_runs_however_far_back_they_lie(tmp_path: Path) -> None:
    path = tmp_path / "far.db"
    singles = "\n".join(f"histhooks.start_run('single{n}').end()" for n in range(30))
    loop = "def loop(): histhooks.start_run('loop').end()"
    record(path, f"import histhooks\n{loop}\nfor _ in range(4): loop()\n{singles}\nloop()\n")
    _, out, _ = ask("runs", str(path), "--limit", "3", project="demo")
    assert [line[10:].split("  ")[0] for line in out.splitlines()[1:4]] == ["loop ×5", "single29", "single28"]
    assert "7 of 35 runs" in out


def test_programs_of_one_group_are_one_row(tmp_path: Path) -> None:
    path, script = tmp_path / "group.db", tmp_path / "train.py"
    script.write_text("import histhooks\nhisthooks.start_run('a').end()\n")
    for number in range(4):
        environment = {**os.environ, "HISTHOOKS_STORE": str(path), "HISTHOOKS_QUIET": "1", "HISTHOOKS_GROUP": "sweep-1"}
        subprocess.run([sys.executable, str(script)], env=environment, check=True, timeout=300)
        _, out, _ = ask("runs", str(path))
        assert ("×4" in out) == (number == 3)
    _, out, _ = ask("runs", str(path), "--group", "sweep-1", "--json")
    assert len(json.loads(out)) == 4


def test_preprocessing_is_hidden(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    path = tmp_path / "prepare.db"
    record(
        path,
        "import histhooks; histhooks.autolog('sklearn')\nfrom sklearn.preprocessing import StandardScaler\n"
        "from sklearn.linear_model import Ridge\nX, y = [[1.0], [2.0]], [0.0, 1.0]\n"
        "StandardScaler().fit(X); Ridge().fit(X, y)",
    )
    _, out, _ = ask("runs", str(path))
    assert "StandardScaler" not in out
    assert "1 of preprocessing with --all" in out
    _, out, _ = ask("runs", str(path), "--all")
    assert "StandardScaler" in out
    _, out, _ = ask("runs", str(path), "--kind", "preprocess")
    assert "StandardScaler" in out


def test_candidates_are_listed_where_they_are_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    path = tmp_path / "search.db"
    record(
        path,
        "import histhooks; histhooks.autolog('sklearn')\nfrom sklearn.linear_model import Ridge\n"
        "from sklearn.model_selection import GridSearchCV\nX, y = [[float(n)] for n in range(9)], [0.0, 1.0, 2.0] * 3\n"
        "GridSearchCV(Ridge(), {'alpha': [1.0, 2.0]}, cv=3).fit(X, y)",
    )
    _, out, _ = ask("runs", str(path), "--kind", "candidate", project="demo")
    assert out.count("GridSearchCV[") == 2
    assert "alpha=2" in out
    _, out, _ = ask("runs", str(path), "--where", "params.alpha = 2", project="demo")
    assert "GridSearchCV ▸2" in out
    assert "GridSearchCV[" not in out


def test_json_is_a_list_of_runs_and_csv_has_a_column_for_all(store: Path) -> None:
    _, out, _ = ask("runs", str(store), "--json", "--sort", "params.lr", "--limit", "1")
    (run,) = json.loads(out)
    assert run["params"] == {"lr": pytest.approx(0.6), "same": 1}
    assert run["metrics"][0]["name"] == "val_loss"
    assert run["status"] == "finished"
    _, out, _ = ask("runs", str(store), "--json", "--all", "--where", "kind = block and has params.leaf")
    assert [one["params"] for one in json.loads(out, parse_constant=pytest.fail)] == [{"leaf": "nan"}]
    _, out, _ = ask("runs", str(store), "--csv", "-A", "--where", "params.lr > 0.45")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["params.lr"] for row in rows] == ["0.6000000000000001", "0.5"]
    assert [row["metrics.val_loss.best"] for row in rows] == ["0.6000000000000001", "0.5"]
    _, out, _ = ask("runs", str(store), "--json", "--status", "killed")
    assert json.loads(out) == []


def test_a_table_cuts_what_is_long_and_drops_what_matters_less() -> None:
    columns = [table.Column("A"), table.Column("B", least=4), table.Column("C", rank=1), table.Column("D", rank=2)]
    rows = [[table.Cell(text) for text in ("id", "a long name", "ccc", "dddd")]]
    assert table.lines(columns, rows, 40) == ["A   B            C    D", "id  a long name  ccc  dddd"]
    assert table.lines(columns, rows, 24)[1] == "id  a long n…  ccc  dddd"
    assert table.lines(columns, rows, 14)[1] == "id  a lo…  ccc"
    assert table.lines(columns, rows, 9)[1] == "id  a lo…"
    assert table.lines([table.Column("A"), table.Column("B")], [[table.Cell("a"), table.Cell("")]], 80) == [
        "A",
        "a",
    ]
    assert table.cells("模型") == 4
    assert table.cut("模型模型", 5) == "模型…"
    assert table.lines([table.Column("A")], [[table.Cell("a\x1b[2Jb\nc")]], 80)[1] == "a [2Jb c"


PIPELINES = """
import sys, warnings
import histhooks; histhooks.autolog("sklearn")
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
shift, C = float(sys.argv[1]), float(sys.argv[2])
X, y = [[float(n) + shift, 1.0] for n in range(20)], [n % 2 for n in range(20)]
Z = [[n + 0.5, 1.0] for n in range(20)]
Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression(C=C, max_iter=50))]).fit(X, y).score(Z, y)
"""


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of one program: another C, then another C and other data; and two that failed alike."""
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("pipelines")
    path, script = folder / "histhooks.db", folder / "pipes.py"
    script.write_text(PIPELINES)
    environment = {**os.environ, "HISTHOOKS_STORE": str(path), "HISTHOOKS_QUIET": "1", "HISTHOOKS_PROJECT": "demo"}
    for words in (("0", "1"), ("0", "0.5"), ("3", "2")):
        subprocess.run([sys.executable, str(script), *words], env=environment, check=True, timeout=300, cwd=folder)
    return path


def test_what_differs_comes_first_by_short_names_and_without_lists_of_parts(pipelines: Path) -> None:
    _, out, _ = ask("runs", str(pipelines), project="demo")
    rows = [line.split() for line in out.splitlines()[1:4]]
    assert [row[2] for row in rows] == ["C=2", "C=0.5", "C=1"]
    assert [word for word in rows[0] if word.startswith("argv")] == ["argv[1]=3"]
    datas = [next(word for word in row if word.startswith("data=")) for row in rows]
    assert datas[1] == datas[2] != datas[0]
    assert "steps" not in out
    assert "$object" not in out
    assert [row[1] for row in rows] == ["Pipeline"] * 3
    assert "  all names begin with pipes·" in out


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_differences_are_whole_at_any_width(pipelines: Path, width: int) -> None:
    _, out, _ = ask("runs", str(pipelines), width=width, project="demo")
    for word in ("C=2 ", "C=0.5 ", "C=1 ", "argv[1]=3"):
        assert out.count(word) == 1
    shown = out.splitlines()[0].split()
    missing = [title for title in ("STATUS", "METRIC", "BEST", "LAST", "STARTED", "TOOK", "KIND") if title not in shown]
    said = " ".join(out.splitlines()[-3:]).partition("no room for ")[2].partition(":")[0].replace(",", "").split()
    assert missing == said


def test_in_a_pipe_each_run_is_one_line_with_everything(pipelines: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    words = [sys.executable, "-m", "histhooks", "runs", str(pipelines), "-A"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=True)
    rows = done.stdout.splitlines()
    assert all("pipes·Pipeline" in row and "data=" in row and "finished" in row for row in rows[1:4])
    assert rows[4].startswith("3 runs")
    assert "…" not in done.stdout


def test_a_failed_run_has_its_error_in_a_column_and_keeps_its_metric(tmp_path: Path) -> None:
    path = tmp_path / "failed.db"
    program = (
        "import histhooks\nfor number in range(2):\n    try:\n"
        "        with histhooks.start_run('train', params={'n': number}) as run:\n"
        "            run.log({'val_loss': 0.5 + number})\n            if number: raise ValueError('no good\\nat all')\n"
        "    except ValueError: pass\n"
    )
    record(path, program)
    _, out, _ = ask("runs", str(path), "-A")
    titles, failed, fine, *_ = out.splitlines()
    place = titles.index("ERROR")
    assert failed[place:].startswith("ValueError: no good  ")
    assert "↓ val_loss" in failed
    assert fine[place : place + 20].strip() == ""
    _, out, _ = ask("runs", str(path), "-A", width=40)
    assert "          ValueError: no good" in out.splitlines()


def test_a_run_that_repeats_or_goes_on_from_another_says_so(tmp_path: Path) -> None:
    path = tmp_path / "linked.db"
    program = (
        "import histhooks\nwith histhooks.start_run('one') as one: pass\n"
        "with histhooks.start_run('two') as two: two.link('reproduces', one.id)\n"
        "with histhooks.start_run('three') as three:\n    three.link('uses', one.id)\n"
        "    three.link('resumes', two.id)\n"
    )
    record(path, program)
    with histhooks.History(path) as history:
        one, two = (short_id(history.run(name).id) for name in ("one", "two"))
    lines = {line.split()[1]: line for line in ask("runs", str(path), "-A", width=100)[1].splitlines()[1:4]}
    assert f"reproduces={one}" in lines["two"]
    assert f"resumes={two}" in lines["three"]
    assert "=" not in lines["one"]
    assert "uses" not in lines["three"], "what a run reads is not what it is made from"


def test_check_shows_findings_that_nobody_saved(tmp_path: Path) -> None:
    program = """
import histhooks, math
for name in ("good", "bad"):
    with histhooks.start_run(name) as run:
        for step in range(30):
            run.log({"loss": math.nan if step > 20 and name == "bad" else 1.0 / (step + 1)}, step=step)
"""
    store = tmp_path / "h.db"
    record(store, program)
    assert "fail" not in ask("runs", str(store))[1]
    told = ask("runs", str(store), "--check")[1]
    (bad,) = (line for line in told.splitlines() if " bad " in line)
    assert "finished · 1 fail" in bad
    assert "checks found something in 1 of 2 rows" in told
    rows = json.loads(ask("runs", str(store), "--check", "--json")[1])
    assert {row["name"]: row["risks"]["fail"] for row in rows} == {"good": 0, "bad": 1}
    lines = list(csv.DictReader(io.StringIO(ask("runs", str(store), "--check", "--csv")[1])))
    assert {line["name"]: line["risks.fail"] for line in lines} == {"good": "0", "bad": "1"}
    for option in ("--timeline", "--group-by=kind"):
        code, _, error = ask("runs", str(store), "--check", option)
        assert (code, "--check" in error) == (2, True)
