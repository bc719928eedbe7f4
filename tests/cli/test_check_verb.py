"""`histhooks check` and `waive`: exit codes, forms for programs, configuration, and what is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from helpers import stores, verbs
from histhooks import History, curate
from histhooks.checks import Finding, Verdict, _measured, all_checks
from histhooks.testing import query, run_program
from histhooks.verify import verify

PROGRAM = """
import histhooks
with histhooks.start_run("good") as run:
    for epoch in range(10):
        run.log({"loss": 1 / (1 + epoch)}, step=epoch, epoch=epoch)
with histhooks.start_run("bad") as run:
    for epoch in range(10):
        run.log({"loss": 1 / (1 + epoch) if epoch < 6 else float("nan")}, step=epoch, epoch=epoch)
with histhooks.start_run("odd") as run:
    for epoch in range(10):
        run.log({"loss": 1 / (1 + epoch) if epoch != 6 else float("inf")}, step=epoch, epoch=epoch)
histhooks.flush()
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "histhooks.db"
    code, _, err = run_program(PROGRAM, path)
    assert code == 0, err
    return path


def ask(store: Path, *words: str, **variables: str) -> tuple[int, str, str]:
    return verbs.ask(*words, "--store", store, folder=store.parent, **variables)


def test_the_exit_code_says_whether_something_was_found_at_the_level(store: Path) -> None:
    codes = {
        name: (ask(store, "check", name)[0], ask(store, "check", name, "--fail-on", "warn")[0])
        for name in ("good", "bad", "odd")
    }
    assert codes == {"good": (0, 0), "bad": (1, 1), "odd": (0, 1)}
    assert ask(store, "check", "good", "bad")[0] == 1
    assert ask(store, "check", "good", "--only", "leak.rows")[0] == 2  # which does not apply


def test_of_several_runs_one_that_could_be_judged_is_enough(store: Path) -> None:
    told = "from histhooks import start_run\nwith start_run('set') as run:\n run.log_params({'lr': 1})"
    assert run_program(f"import histhooks\n{told}\nhisthooks.flush()", store)[0] == 0
    only = ("--only", "loss.nonfinite", "--since", "7d", "--all-projects")
    assert ask(store, "check", "set", "--only", "loss.nonfinite")[0] == 2
    assert ask(store, "check", "set", "good", "--only", "loss.nonfinite")[0] == 0
    code, out, _ = ask(store, "check", *only, COLUMNS="120")
    assert code == 1
    assert [line.split()[0] for line in out.splitlines() if line[:1].isalpha()] == ["odd", "bad"]
    assert out.splitlines()[-2:] == [
        "4 runs, 1 with a finding at or above fail, 1 with a warning",
        "  not shown: 1 with nothing found, 1 to which none of the checks applies",
    ]


def test_wrong_use_exits_with_2_and_says_what_to_do(store: Path) -> None:
    code, _, err = ask(store, "check", "--only", "leak.row")
    assert (code, "did you mean leak.rows" in err) == (2, True)
    code, _, err = ask(store, "check", "last", "--since", "7d")
    assert (code, "not both" in err) == (2, True)
    code, _, err = ask(store, "check", "--since", "2099-01-01")
    assert (code, "no run started since" in err) == (2, True)


def test_a_screen_has_the_fact_the_reason_and_the_advice_and_fits(store: Path) -> None:
    for columns in (60, 80, 120, 200):
        code, out, _ = ask(store, "check", "bad", COLUMNS=str(columns))
        assert code == 1
        assert max(map(len, out.splitlines())) <= columns
        words = " ".join(out.split())
        assert "fail loss.nonfinite: loss went NaN at step 6 (epoch 6), and stayed so: 4 of 10 points" in words
        assert "Weights that were updated with such a loss are not finite either" in words
        assert "→ look at the steps before it" in words
        assert "passed · " in words
        assert "do not apply" in words


def test_several_runs_end_with_their_count(store: Path) -> None:
    _, out, _ = ask(store, "check", "good", "bad", "odd", COLUMNS="80")
    assert out.splitlines()[-1] == "3 runs, 1 with a finding at or above fail, 1 with a warning"


def test_a_pipe_gets_one_finding_a_line(store: Path) -> None:
    _, out, _ = ask(store, "check", "bad", "odd")
    lines = [line for line in out.splitlines() if "  loss.nonfinite  " in line]
    assert [line.split("  ")[1].strip() for line in lines] == ["fail", "warn"]


def test_json_has_every_check_once(store: Path) -> None:
    _, out, _ = ask(store, "check", "good", "bad", "--json")
    runs = json.loads(out)["runs"]
    assert [(run["run"]["name"], run["code"], run["worst"]) for run in runs] == [("good", 0, None), ("bad", 1, "fail")]
    for run in runs:
        found = {one["id"] for one in (*run["findings"], *run["waived"], *run["cannot_tell"])}
        assert len(found | {*run["passed"]} | {*run["does_not_apply"]}) == 44
        assert not found & {*run["passed"]}
    assert set(runs[1]["findings"][0]) == {
        "id", "level", "says", "why", "advice", "value", "threshold", "source", "evidence", "version", "waived",
    }  # fmt: skip


def test_junit_and_github_say_the_same(store: Path, tmp_path: Path) -> None:
    code, out, _ = ask(store, "check", "bad", "odd", "--junit", "checks.xml", "--format", "github")
    assert code == 1
    assert [line.partition(" ")[0] for line in out.splitlines() if "loss.nonfinite" in line] == ["::error", "::warning"]
    suites = ElementTree.parse(tmp_path / "checks.xml").getroot()
    assert [(suite.get("tests"), suite.get("failures")) for suite in suites] == [("44", "1"), ("44", "0")]
    failure = suites.find(".//failure")
    assert failure is not None
    assert failure.get("message") == "loss went NaN at step 6 (epoch 6), and stayed so: 4 of 10 points"


def test_nothing_is_written_unless_it_is_asked_for(store: Path) -> None:
    before = store.read_bytes()
    ask(store, "check", "bad")
    assert store.read_bytes() == before
    code, _, err = ask(store, "check", "bad", "--save")
    assert (code, "results are kept" in err) == (1, True)
    rows = query(store, "SELECT check_id, level FROM latest_checks WHERE level IN ('fail', 'warn')")
    assert rows == [("loss.nonfinite", "fail")]
    assert verify(store).ok
    assert stores.alone(store)[0] == 0
    with History(store) as history:
        saved = {row["check_id"]: row for row in history.run("bad").check_results}
    assert saved["loss.nonfinite"]["evidence"]["nonfinite"] == 4
    assert saved["run.unfinished"]["level"] == "pass"
    lines = {line.split()[1]: line for line in ask(store, "runs")[1].splitlines() if "finished" in line}
    assert {name: "· 1 fail" in line for name, line in lines.items()} == {"odd": False, "bad": True, "good": False}


def test_runs_are_found_by_the_verdict_that_is_kept(store: Path) -> None:
    assert ask(store, "check", "bad", "good", "--save")[0] == 1
    with History(store) as history:

        def found(where: str) -> set[str]:
            return {run.name for run in history.runs(where=where)}

        assert found("check = fail") == found("check = loss.nonfinite") == found("check ~ loss*") == {"bad"}
        assert found("check = pass") == {"bad", "good"}
        assert found("check != fail") == {"good"}
        assert found("check is null") == {"odd"}
        assert found("check = 'run.unfinished'") == set()  # which passed


def test_a_waiver_silences_until_its_day(store: Path) -> None:
    code, out, _ = ask(store, "waive", "loss.nonfinite", "bad", "--reason", "a known fault", "--until", "2099-12-31")
    assert (code, "is waived" in out) == (0, True)
    code, out, _ = ask(store, "check", "bad")
    assert code == 0
    assert "waived  loss.nonfinite" in out
    assert "a known fault (waived by" in out
    assert verify(store).ok
    code, _, err = ask(store, "waive", "loss.nonfinite", "bad", "--reason", "late", "--until", "2020-01-01")
    assert (code, "has passed" in err) == (2, True)
    code, _, err = ask(store, "waive", "loss.nonsense", "bad", "--reason", "x", "--until", "2099-01-01")
    assert (code, "no check is called" in err) == (2, True)


def test_a_waiver_of_the_past_holds_no_more(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    curate.waive("loss.nonfinite", "bad", reason="for now", until="2099-01-01", store=store)
    with History(store) as history:
        assert history.check("bad").code == 0
        monkeypatch.setattr("histhooks.checks._judging.now_us", lambda: 5_000_000_000_000_000)
        assert history.check("bad").code == 1


def test_a_project_chooses_levels_thresholds_and_what_to_skip(store: Path, tmp_path: Path) -> None:
    table = tmp_path / "pyproject.toml"
    table.write_text('[tool.histhooks.check]\nlevels = {"loss.nonfinite" = "warn"}\n', encoding="utf-8")
    assert ask(store, "check", "bad")[0] == 0
    table.write_text('[tool.histhooks.check]\nskip = ["loss"]\nfail_on = "warn"\n', encoding="utf-8")
    assert ask(store, "check", "bad")[0] == 0
    assert ask(store, "check", "bad", "--only", "loss")[0] == 1
    for odd in ("skip = 3", "thresholds = {nothing = 1}", 'levels = {"loss" = "loud"}', "other = 1"):
        table.write_text(f"[tool.histhooks.check]\n{odd}\n", encoding="utf-8")
        code, _, err = ask(store, "check", "bad")
        assert (code, "pyproject.toml" in err) == (2, True), odd
        assert ask(store, "show", "bad")[0] == 0
    table.write_text('[tool.histhooks.check]\nfail_on = "warn\n', encoding="utf-8")
    code, _, err = ask(store, "check", "bad")
    assert (code, "pyproject.toml cannot be read, nor what it says of check" in err) == (2, True)
    assert ask(store, "show", "bad")[0] == 0


def test_list_and_explain_say_all_of_a_check(store: Path) -> None:
    _, out, _ = ask(store, "check", "--list", COLUMNS="80")
    assert "44 checks" in out
    _, out, _ = ask(store, "check", "--list", COLUMNS="120")
    assert out.split()[:5] == ["check", "levels", "says", "recall", "precision"]
    (line,) = (line for line in out.splitlines() if line.startswith("leak.rows"))
    assert line.split()[-2:] == [_measured.recall("leak.rows"), _measured.precision("leak.rows")]
    _, out, _ = ask(store, "check", "--explain", "leak.rows")
    for word in ("rule", "source", "not seen", "deepchecks"):
        assert word in out


def test_what_was_measured_is_of_checks_that_there_are() -> None:
    assert set(_measured.COUNTS) <= set(all_checks())
    for planted, found, false in _measured.COUNTS.values():
        assert 0 <= found <= planted
        assert 0 <= false <= _measured.CLEAN
    assert (_measured.recall("team.tagged"), _measured.sentence("team.tagged")) == ("–", "")


def test_show_and_a_notebook_have_the_risks(store: Path) -> None:
    assert "fail  loss.nonfinite: loss went NaN" in ask(store, "show", "bad")[1]
    assert "Risks" not in ask(store, "show", "good")[1]
    with History(store) as history:
        shown = history.check("bad")._repr_html_()
    assert "loss went NaN at step 6" in shown
    assert "&lt;" not in shown


def test_the_hint_of_show_finds_the_store(store: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    command = [sys.executable, "-m", "histhooks", "show", "bad", "--store", str(store)]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for folder, is_named in ((store.parent, False), (elsewhere, True)):
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True, timeout=60)
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("Risks ")]
        assert (f" --store {store} says why" in line) is is_named


def test_a_verdict_is_a_value(store: Path) -> None:
    with History(store) as history:
        verdict = history.check("bad", only="loss", skip=["loss.flat"])
        assert isinstance(verdict, Verdict)
        assert all(isinstance(found, Finding) for found in verdict.findings)
        assert {found.id for found in verdict.findings} == {"loss.nonfinite"}
        assert "loss.flat" not in verdict.versions
        assert verdict.as_json() == history.run("bad").check("loss", "loss.flat").as_json()


NESTED = """
import histhooks
for name, last in (("outer", float("nan")), ("other", 0.1)):
    with histhooks.start_run(name):
        with histhooks.start_run(f"inside {name}"):
            with histhooks.start_run("in the middle of it") as run:
                for epoch in range(10):
                    run.log({"loss": 1 / (1 + epoch) if epoch < 6 else last}, step=epoch)
"""


def test_a_run_is_marked_for_what_was_found_in_a_run_inside_it(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    code, _, err = run_program(NESTED, store)
    assert code == 0, err
    for name in ("outer", "other"):
        ask(store, "check", name, "--save")
    lines = {line.split()[1]: line for line in ask(store, "runs")[1].splitlines() if "finished" in line}
    assert {name: "· 1 fail" in line for name, line in lines.items()} == {"outer": True, "other": False}
