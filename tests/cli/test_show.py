"""``show`` on trainings that were recorded for real."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import histhooks
from helpers import verbs
from helpers.programs import UNTIL
from helpers.sessions import end_session

DOC = Path(__file__).parents[2] / "docs" / "reference" / "show_json.md"


def ask(*words: str, columns: int = 100) -> tuple[int, str, str]:
    return verbs.ask(*words, COLUMNS=str(columns))


def ids(store: Path, name: str) -> list[str]:
    """Ids of the top-level runs of that name, the oldest first."""
    with histhooks.History(store) as history:
        return [run.id for run in reversed(history.runs(is_nested=False)) if run.name == name]


def show(store: Path, run: str, *options: str, columns: int = 100) -> str:
    code, out, err = ask("show", run, "--store", str(store), *options, columns=columns)
    assert (code, err) == (0, "") or options, err
    return out


def test_a_loop_is_told_with_its_groups_schedule_data_and_the_run_whose_weights_it_read(trained: Path) -> None:
    first, second = ids(trained, "loop·Sequential")
    out = " ".join(show(trained, second, columns=160).split())
    for words in (
        "1,210 parameters in 3 layers", "SGD momentum=0.9", "group 0: lr 0.1 → 0.01, 1,040 parameters",
        "group 1: lr 0.2 → 0.02, 170 parameters", "schedule StepLR", "1,797", "torch manual_seed(0) at loop.py:7",
        f"continues {first[-8:]} by file", "with changes (+2 −2), 1 new file",
    ):  # fmt: skip
        assert words in out, words
    assert "clean" in show(trained, first)


def test_epochs_are_told_as_the_host_prints_them(trained: Path) -> None:
    network, loop = ids(trained, "network·Sequential")[0], ids(trained, "loop·Sequential")[0]
    with histhooks.History(trained) as history:
        assert {p["epoch"] for p in history.run(network).metrics("loss")} == {0, 1, 2, 3}
        assert {p["epoch"] for p in history.run(loop).metrics("val_loss")} == {0, 1, 2}
    (line,) = [line for line in show(trained, network).splitlines() if line.strip().startswith("loss ")]
    assert line.split()[5] == "4", line  # Epoch 4/4 of Keras
    (line,) = [line for line in show(trained, loop).splitlines() if line.strip("* ").startswith("val_loss ")]
    assert line.strip("* ").split()[5] == "2", line


def test_children_stand_with_their_best_on_top(trained: Path) -> None:
    search = ids(trained, "classic·GridSearchCV")[1]
    with histhooks.History(trained) as history:
        children = history.run(search).children
        expected = sorted(children, key=lambda child: -child.results["mean_test_score"])
    out = show(trained, search)
    places = [out.index(child.id[-8:]) for child in expected]
    assert places == sorted(places)
    assert "mean_test_score" in out


def test_one_run_is_one_screen_at_three_widths(trained: Path) -> None:
    for name in ("loop·Sequential", "network·Sequential", "classic·GridSearchCV", "classic·Pipeline"):
        for columns in (80, 100, 140):
            lines = show(trained, ids(trained, name)[1], columns=columns).splitlines()
            assert max(map(len, lines)) <= columns, (name, columns)
            assert len(lines) <= (62 if columns == 80 else 50), (name, columns, len(lines))


def test_names_and_values_are_no_markup_and_no_orders_to_a_terminal(tmp_path: Path) -> None:
    histhooks.autolog(store=tmp_path / "a.db")
    with histhooks.start_run("[bold]\x1b[31mred", params={"[/red]": "\x1b]0;title\x07", "a": "[blink]"}) as run:
        run.note("[/]\x9b2J")
        run.log({"[x]": 1.0})
    histhooks.flush()
    out = show(tmp_path / "a.db", "last")
    for word in ("[bold]", "[/red]", "[blink]", "[/]", "[x]"):
        assert word in out, word
    assert not re.search("[\x1b\x07\x9b]", out)


def test_parts_come_alone(trained: Path) -> None:
    run = ids(trained, "classic·Pipeline")[1]
    patch = show(trained, run, "--code")
    assert "-model = make_pipeline" in patch
    assert "+++ b/helpers.py" in patch
    assert "+def unused():" in patch
    packages = show(trained, run, "--env").splitlines()
    assert any(line.startswith("scikit-learn==") for line in packages)
    assert "logisticregression__C = 0.5  (argument)" in show(trained, run, "--params").replace("(set)", "(argument)")
    assert "raise ValueError" in show(trained, "last", "--traceback")
    assert show(trained, run, "--traceback") == ""


def test_the_patch_applies_to_the_commit_and_gives_the_files_as_they_ran(trained: Path, tmp_path: Path) -> None:
    run = ids(trained, "classic·Pipeline")[1]
    patch = show(trained, run, "--code")
    subprocess.run(["git", "clone", "-q", str(trained.parent), "clone"], cwd=tmp_path, check=True)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path / "clone", input=patch, text=True, check=True)
    for name in ("classic.py", "features.py", "helpers.py"):
        assert (tmp_path / "clone" / name).read_text() == (trained.parent / name).read_text()


def test_a_run_that_still_runs_tells_how_far_it_is(tmp_path: Path) -> None:
    program = (
        "import histhooks, sys\n"
        "run = histhooks.start_run('going', params={'num_boost_round': 200})\n"
        "for step in range(50): run.log({'loss': 1 / (step + 1)}, step=step)\n"
        "histhooks.flush(); print('ready', flush=True); sys.stdin.read()\n"
    )
    store = tmp_path / "a.db"
    environment = {**os.environ, "HISTHOOKS_STORE": str(store)}
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        out = show(store, "last")
        assert re.search(r"progress +since .*, step 50 of 200, 25%", out), out
    finally:
        process.communicate()
    assert "progress" not in show(store, "last")


def test_what_the_json_holds_is_what_the_page_says(trained: Path) -> None:
    text = DOC.read_text(encoding="utf-8")
    columns = set(re.findall(r"`(\w+)`", text.partition("## Columns")[2].partition("## Everything")[0])) - {"runs"}
    table = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, flags=re.M))
    for name in ("loop·Sequential", "network·Sequential", "classic·Pipeline", "classic·GridSearchCV"):
        run = ids(trained, name)[1]
        record = json.loads(show(trained, run, "--json"))
        with histhooks.History(trained) as history:
            assert set(history.run(run).row) | columns == columns | {"status"}
        assert set(record) == columns | set(table)
        for key in ("datasets", "optimizers", "artifacts", "seeds", "rng_states", "captures", "tags", "params_told"):
            for row in record[key]:
                _check(row, table[key], key)
        for key in ("architecture", "environment", "code"):
            if record[key] is not None:
                _check(record[key], table[key], key)
        for row in record["metrics"]:
            _check(row, table["metrics"], "metrics")
        assert record["code"]["untracked"] == {"helpers.py": "def unused():\n    return 1\n"}
    assert "export" in text


def _check(row: dict[str, Any], told: str, key: str) -> None:
    assert set(row) <= set(re.findall(r"`(\w+)`", told)), key


def test_the_record_is_typed_rows(trained: Path) -> None:
    with histhooks.History(trained) as history:
        run = history.run(ids(trained, "loop·Sequential")[1])
        assert [file["direction"] for file in run.artifacts] == ["in", "out", "out", "out"]
        (data,) = run.datasets
        assert data["schema"]["X"]["tensors"][0]["shape"] == [1797, 64]
        (optimizer,) = run.optimizers
        assert [group["lr"] for group in optimizer["groups"]][:2] == [0.1, 0.2]
        assert optimizer["scheduler"]["class"] == "StepLR"
        assert run.architecture is not None
        assert run.architecture["n_parameters"] == 1210
        assert run.packages["torch"] == run.framework_version.partition("+")[0] or run.packages["torch"]
        assert history.run(ids(trained, "classic·Pipeline")[0]).tags == {"team": "red <b>&"}
        assert [note["body"] for note in history.run("last").notes] == ["note <script>alert(1)</script>\nsecond line"]
        child = history.run(ids(trained, "classic·GridSearchCV")[0]).children[0]
        assert child.parent is not None
        assert child.parent.id == ids(trained, "classic·GridSearchCV")[0]


def test_links_are_told_from_both_sides(tmp_path: Path) -> None:
    histhooks.autolog(store=tmp_path / "a.db")
    with histhooks.start_run("first") as first:
        pass
    with histhooks.start_run("second") as second:
        second.link("resumes", first.id)
    histhooks.flush()
    assert f"resumes {(first.id or '')[-8:]}" in show(tmp_path / "a.db", "second")
    out = show(tmp_path / "a.db", "first")
    assert f"resumed by {(second.id or '')[-8:]}" in out
    assert "attempt 1 of 2 of one training" in out


def test_what_was_erased_says_so(tmp_path: Path) -> None:
    from histhooks import curate

    histhooks.autolog(store=tmp_path / "a.db")
    with histhooks.start_run("one") as run:
        run.tag("owner", "somebody")
        run.tag("bare")
        run.note("written by somebody")
    histhooks.flush()
    end_session()
    curate.redact(reason="asked to", runs=("one",), store=tmp_path / "a.db")
    out = show(tmp_path / "a.db", "one")
    assert "owner=[erased]" in out
    assert "notes         [erased]" in out
    assert "somebody" not in out
    assert json.loads(show(tmp_path / "a.db", "one", "--json"))["session"]["username"] is None


def test_full_leaves_nothing_out(trained: Path) -> None:
    run = ids(trained, "network·Sequential")[0]
    with histhooks.History(trained) as history:
        params = history.run(run).params
    out = show(trained, run, "--full")
    for key in params:
        assert f"  {key} = " in out
    assert "more with" not in out


def test_a_link_by_a_file_alone_is_told_from_both_sides(tmp_path: Path) -> None:
    histhooks.autolog(store=tmp_path / "a.db")
    (tmp_path / "model.bin").write_bytes(b"weights")
    with histhooks.start_run("first") as first:
        first.log_artifact(tmp_path / "model.bin", role="model")
    with histhooks.start_run("second") as second:
        second.link("fine-tunes", None, hashlib.sha256(b"weights").hexdigest())
    histhooks.flush()
    assert f"fine-tunes {(first.id or '')[-8:]} by file" in show(tmp_path / "a.db", "second")
    assert f"fine-tuned by {(second.id or '')[-8:]}" in show(tmp_path / "a.db", "first")


def test_the_runs_that_read_a_file_of_a_run_are_named(tmp_path: Path) -> None:
    histhooks.autolog(store=str(tmp_path / "h.db"))
    (tmp_path / "model.bin").write_bytes(b"weights")
    with histhooks.start_run("trains") as trains:
        trains.log_artifact(tmp_path / "model.bin", role="model")
    with histhooks.start_run("serves") as serves:
        serves.log_artifact(tmp_path / "model.bin", role="model", direction="in")
    end_session()
    out = "".join(ask("show", str(tmp_path / "h.db"), "trains")[1].split())  # which a long path breaks anywhere
    assert f"model.binwasreadby{str(serves.id)[-8:]}" in out
    assert f"which {str(trains.id)[-8:]} wrote" in " ".join(ask("show", str(tmp_path / "h.db"), "serves")[1].split())


def test_the_outline_of_a_long_metric_is_short(tmp_path: Path) -> None:
    histhooks.autolog(store=tmp_path / "a.db")
    with histhooks.start_run("long") as run:
        for step in range(30_000):
            run.log({"loss": float(step)}, step=step, epoch=step // 100)
    histhooks.flush()
    with histhooks.History(tmp_path / "a.db") as history:
        outline = history.run("last").outline("loss")
        assert 24 <= len(outline) <= 200
        assert outline == sorted(outline, key=lambda value: value or 0.0)
        assert (outline[0], outline[-1]) == (0.0, 29_999.0)
        assert history.run("last").epoch_at("loss", 29_999) == 299


GONE_WRONG = """
import histhooks, sys
sys.stderr.write("a word of its own\\n")
with histhooks.start_run("search") as run:
    for step in range(400):
        long = 1234.5678 / (step + 1)
        run.log({"a_metric_of_a_very_long_name_indeed": long, "val_loss": 0.1234567, "odd": float("nan")})
    until("SELECT 1 FROM metric_summaries WHERE name = 'system/memory_bytes'")
    for n in range(3):
        with histhooks.start_run(f"inner run with a long name {n}", params={"alpha": 0.125 * n}) as inner:
            inner.log({"val_loss": 0.4234567 + n})
with histhooks.start_run("second"):
    raise ValueError("gone wrong")
"""


def test_a_narrow_screen_cuts_names_and_never_numbers_or_ids(tmp_path: Path) -> None:
    store, program = tmp_path / "histhooks.db", tmp_path / "train.py"
    program.write_text(UNTIL + GONE_WRONG)
    environment = {**os.environ, "HISTHOOKS_STORE": str(store), "HISTHOOKS_GROUP": "G", "HISTHOOKS_SYSTEM_S": "0.5"}
    command = [sys.executable, "-m", "histhooks", "run", str(program)]
    subprocess.run(command, env=environment, capture_output=True, check=False, timeout=300)
    with histhooks.History(store) as history:
        children = [run.id[-8:] for run in history.run("search").children]
        assert len(children) == 3
    for columns in (60, 80, 120):
        _, out, _ = ask("show", "search", "--store", str(store), columns=columns)
        assert all(child in out for child in children)
        (row,) = [line for line in out.splitlines() if "a_metric" in line]
        assert "3.086" in row
        assert "0.1235" in out
        table = out[out.index("Metrics") : out.index("Children")].splitlines()
        assert max(map(len, table)) <= columns
        assert "of the machine with --full" in out
        assert "system/" not in out
    _, out, told = ask("show", "G", "--store", str(store), "--full")
    assert "latest of 2 runs of group G" in told
    assert out.count("ValueError: gone wrong") == 2  # the outcome and the traceback
    assert out.count("Traceback (most recent call last)") == 1
    last = out[out.index("Last lines of stderr") :].splitlines()
    assert [line for line in last if line.strip()][1:2] == ["a word of its own"]
    assert not any(line.startswith("histhooks:") for line in last)


def test_a_reader_that_has_enough_is_no_failure(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    program = (
        "import histhooks\nfor n in range(40):\n    histhooks.start_run(f'run {n}', params={'n': 'x' * 4000}).end()"
    )
    environment = {**os.environ, "HISTHOOKS_STORE": str(store)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
    for verb in (("show", "last", "--full"), ("show", "last"), ("runs", "--all"), ("runs", "--all", "--json")):
        command = [sys.executable, "-m", "histhooks", *verb, "--store", str(store)]
        read, write = os.pipe()
        os.close(read)  # gone before the first line
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        os.close(write)
        assert (done.returncode, done.stderr) == (0, ""), verb


def test_a_mistyped_verb_is_told_close_ones_and_help_says_what_a_store_is_for(tmp_path: Path) -> None:
    code, _, told = ask("shw")
    assert (code, "did you mean show?" in told) == (2, True)
    assert "did you mean" not in ask("qqqqq")[2]
    assert "The store to write to" in ask("prune", "--help")[1]
    assert "The store to read" in ask("runs", "--help")[1]
