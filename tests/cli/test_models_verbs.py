"""The verbs for models, as a person types them: exit codes, JSON, screens of any width."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from helpers.models import make
from histhooks.cli import cli
from histhooks.errors import HisthooksError

WIDTHS = (60, 80, 120, 200)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make(tmp_path, "one", "two", "bad")


def ask(*words: str, columns: int = 120) -> Result:
    result = CliRunner().invoke(cli, words, env={"COLUMNS": str(columns)}, color=False)
    assert result.exception is None or isinstance(result.exception, (SystemExit, HisthooksError)), result.exception
    return result


def code(*words: str) -> int:
    """The exit code, as the command line gives it: 2 for an error that it names."""
    result = ask(*words)
    return 2 if isinstance(result.exception, HisthooksError) else result.exit_code


def promoted(*words: str) -> None:
    assert code("promote", *words) == 0


@pytest.fixture
def live(store: Path) -> Path:
    promoted("one.bin", "--model", "fraud", "--reason", "the first", "--keep")
    promoted("two.bin", "--model", "fraud", "--reason", "better")
    return store


def test_promoting_says_what_is_live_and_what_was(live: Path) -> None:
    shown = ask("promote", "fraud@1", "--reason", "the old one", "--to", "staging")
    assert shown.output.splitlines()[0] == "fraud@1 is staging"
    assert "one.bin" in shown.output
    assert "kept" in shown.output
    again = ask("promote", "fraud@1", "--reason", "again", "--to", "staging")
    assert again.output == "fraud@1 is staging already; its bytes are kept\n"
    told = json.loads(ask("promote", "fraud@1", "--reason", "back", "--json").output)
    assert (told["before"], told["label"], told["is_new"], told["kept"]) == ("2", "1", False, True)


def test_exit_codes(live: Path) -> None:
    asked = [
        (("promote", "one.bin", "--model", "fraud"), 2),
        (("promote", "none.bin", "--model", "fraud", "--reason", "x"), 2),
        (("promote", "fraud@9", "--reason", "x"), 2),
        (("promote", "fraud@2", "--reason", "x", "--from", "staging"), 2),
        (("rollback", "fraud"), 2),
        (("rollback", "nothing", "--reason", "x"), 2),
        (("rollback", "fraud", "--dry-run"), 0),
        (("rollback", "fraud", "--dry-run", "--to", "2"), 0),
        (("models",), 0),
        (("models", "fraud"), 0),
        (("models", "frod"), 2),
        (("models", "fraud", "--at", "2020-01-01"), 1),
        (("models", "--at", "2020-01-01"), 1),
        (("models", "fraud", "--at", "now"), 0),
        (("models", "fraud", "--at", "soon"), 2),
        (("demote", "fraud@champion", "--reason", "x"), 2),
        (("approve", "fraud", "--reason", "x"), 2),
        (("check", "fraud@2"), 0),
        (("diff", "fraud@1", "fraud@2"), 1),
        (("show", "fraud@production"), 0),
        (("delete", "fraud@2", "--reason", "x", "--yes"), 2),
    ]
    assert [words for words, expected in asked if code(*words) != expected] == []


def test_a_failing_check_refuses_with_exit_code_one_and_a_waiver_lets_it_pass(store: Path) -> None:
    refused = ask("promote", "bad.bin", "--model", "fraud", "--reason", "x")
    assert refused.exit_code == 1
    assert json.loads(ask("models", "--json").output) == []
    (check,) = {line.split()[1].rstrip(":") for line in refused.output.splitlines() if line.startswith("  fail ")}
    assert check == "loss.nonfinite"
    assert code("promote", "bad.bin", "--model", "other", "--reason", "x", "--no-check") == 0
    assert json.loads(ask("models", "other", "--json").output)["events"][0]["checks"]["why"] == "--no-check"
    assert code("waive", check, "bad", "--reason", "a toy", "--until", "2999-01-01") == 0
    promoted("bad.bin", "--model", "fraud", "--reason", "x")
    (event,) = json.loads(ask("models", "fraud", "--json").output)["events"]
    assert [waived["id"] for waived in event["checks"]["waived"]] == [check]


def test_a_waiver_of_a_version_counts_for_its_run(live: Path) -> None:
    promoted("bad.bin", "--model", "fraud", "--reason", "x", "--no-check", "--to", "staging")
    assert code("check", "fraud@3") == 1
    assert code("waive", "loss.nonfinite", "fraud@3", "--reason", "a toy", "--until", "2999-01-01") == 0
    assert code("check", "fraud@3") == 0
    (waived,) = json.loads(ask("check", "bad", "--json").output)["runs"][0]["waived"]
    assert waived["id"] == "loss.nonfinite"
    assert code("waive", "loss.nonfinite", "fraud@8", "--reason", "a toy", "--until", "2999-01-01") == 2
    promoted("fraud@3", "--reason", "x")


def test_steps_of_an_order_cannot_be_skipped(store: Path) -> None:
    Path("pyproject.toml").write_text('[tool.histhooks.models]\norder = ["staging", "production"]\n')
    refused = ask("promote", "one.bin", "--model", "fraud", "--reason", "x")
    assert refused.exit_code == 1
    assert "never staging" in refused.output
    promoted("one.bin", "--model", "fraud", "--reason", "x", "--to", "staging")
    promoted("fraud@staging", "--from", "staging", "--reason", "x")
    Path("pyproject.toml").write_text('[tool.histhooks.models]\norder = ["staging", "production"\n')
    refused = ask("promote", "one.bin", "--model", "other", "--reason", "x")  # nobody knows whether it may
    assert refused.exit_code != 0
    assert "cannot be read" in str(refused.exception)


def test_who_trained_it_cannot_approve_it_where_that_is_asked_for(store: Path) -> None:
    Path("pyproject.toml").write_text('[tool.histhooks.models]\napproval = "other"\n')
    assert ask("promote", "one.bin", "--model", "fraud", "--reason", "x").exit_code == 1
    assert code("register", "one.bin", "--model", "fraud", "--reason", "x") == 0
    assert code("approve", "fraud@1", "--reason", "fine") == 0
    refused = ask("promote", "fraud@1", "--reason", "x")
    assert refused.exit_code == 1
    assert "gov.self_approval" in refused.output


def test_what_was_live_is_answered_with_file_run_and_data(live: Path) -> None:
    told = json.loads(ask("models", "fraud", "--at", "now", "--json").output)
    (found,) = told["live"]
    assert (found["alias"], found["number"], found["reason"], found["bytes"]) == ("production", 2, "better", "there")
    assert len(found["sha256"]) == 64
    assert found["data"][0]["role"] == "train"
    Path("two.bin").write_text("the next training")
    assert json.loads(ask("models", "--json").output)[0]["live"][0]["bytes"] == "overwritten"
    assert "two.bin has other content now, and no copy was kept" in ask("models").output
    Path("two.bin").unlink()
    assert "is gone" in ask("models", "fraud").output
    assert ask("rollback", "fraud", "--reason", "x").output.startswith("fraud@1 is production again (before: 2)")
    assert ask("rollback", "fraud", "--reason", "x", "--to", "2").exit_code == 1


def test_a_rollback_names_command_and_environment_and_writes_the_file(live: Path) -> None:
    told = json.loads(ask("rollback", "fraud", "--reason", "x", "-o", "served.bin", "--json").output)
    assert Path("served.bin").read_text() == "oneoneone"
    assert (told["before"], told["label"], told["is_moved"], told["written"]) == ("2", "1", True, "served.bin")
    assert "numpy" in told["environment"]["packages"]
    assert told["command"]


def test_other_verbs_know_versions(live: Path) -> None:
    assert "production=fraud@2" in ask("runs").output
    assert "fraud@1, not live" in ask("show", "fraud@1").output
    assert json.loads(ask("show", "fraud@2", "--json").output)["versions"][0]["aliases"][0]["alias"] == "production"
    assert "version fraud@2, production since" in ask("whence", "two.bin").output
    assert json.loads(ask("whence", "two.bin", "--json").output)["versions"][0]["name"] == "fraud@2"
    assert code("restore", "fraud@production", "-o", "again.bin") == 0
    assert Path("again.bin").read_text() == "twotwotwo"
    first, second = ask("diff", "fraud@1", "fraud@2").output.splitlines()[:2]
    assert first.startswith("A  fraud@1, sha256 ")
    assert second.startswith("B  fraud@2 (production), sha256 ")
    assert json.loads(ask("diff", "fraud@1", "fraud@2", "--json").output)["versions"]["b"]["number"] == 2


def test_a_report_of_a_model_is_its_whole_life(live: Path) -> None:
    ask("rollback", "fraud", "--reason", "too <b>many</b> alarms")
    assert code("report", "fraud", "-o", "fraud.html") == 0
    page = Path("fraud.html").read_text(encoding="utf-8")
    for word in (
        "trained by",
        "promoted to production",
        "production again (was 2)",
        "too &lt;b&gt;many",
        "What changed",
    ):
        assert word in page, word
    assert code("report", "fraud", "-o", "fraud.md", "--no-verify") == 0
    assert "| rollback | 1 |" in Path("fraud.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("columns", WIDTHS)
def test_no_line_is_wider_than_the_terminal(live: Path, columns: int) -> None:
    for words in (("models",), ("models", "fraud")):
        lines = ask(*words, columns=columns).output.splitlines()
        tables = [line for line in lines if "  " in line]
        assert tables
        assert max(map(len, tables)) <= columns


def test_nothing_is_written_by_looking(live: Path) -> None:
    before = live.read_bytes()
    for words in (
        ("models",),
        ("models", "fraud"),
        ("models", "fraud", "--at", "now"),
        ("rollback", "fraud", "--dry-run"),
    ):
        assert code(*words) == 0
    assert live.read_bytes() == before
