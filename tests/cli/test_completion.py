"""Completion in shells, by the protocol that the shells themselves speak with click."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.models import make
from histhooks import models

PROGRAM = """
import histhooks
with histhooks.start_run("resnet", params={"lr": 0.1}, tags={"team": "red"}) as run:
    run.log({"val_loss": 0.5, "val_acc": 0.1, "loss": 1.0})
histhooks.start_run("two words").end()
histhooks.start_run("vit").end("failed")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("history")
    environment = {**os.environ, "HISTHOOKS_STORE": str(place / "histhooks.db"), "HISTHOOKS_QUIET": "1"}
    subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**environment, "HISTHOOKS_PROJECT": "churn"}, check=True, timeout=60
    )
    return place


def complete(line: str, folder: Path, shell: str = "bash") -> list[str]:
    """What a shell is offered at the end of a line; its own protocol."""
    words = line.split(" ")
    environment = {**os.environ, "_HISTHOOKS_COMPLETE": f"{shell}_complete", "COMP_WORDS": line}
    environment |= {"COMP_CWORD": words[-1] if shell == "fish" else str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "histhooks"],
        env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.splitlines()


def values(line: str, folder: Path) -> list[str]:
    return [item.partition(",")[2] for item in complete(line, folder) if item.startswith("plain,")]


def test_verbs_and_options(folder: Path) -> None:
    assert {"show", "search", "sync"} <= set(values("histhooks s", folder))
    assert values("histhooks wh", folder) == ["whence"]
    assert {"--where", "--sort", "--since"} <= set(values("histhooks runs --", folder))


def test_files_and_tags_of_a_run(tmp_path: Path) -> None:
    program = """
import histhooks
open("model.bin", "w").write("weights")
with histhooks.start_run("one", tags={"team": "red", "stage": "new"}) as run:
    run.log({"mean": 1.0}); run.log_artifact("model.bin")
"""
    environment = {**os.environ, "HISTHOOKS_STORE": str(tmp_path / "histhooks.db")}
    subprocess.run([sys.executable, "-c", program], env=environment, cwd=tmp_path, check=True, timeout=60)
    assert values("histhooks restore one m", tmp_path) == ["model.bin"]
    assert values("histhooks untag one ", tmp_path)[:2] == ["team", "stage"]
    assert values("histhooks untag one st", tmp_path) == ["stage"]


def test_runs_by_name_and_by_id(folder: Path) -> None:
    offered = values("histhooks show ", folder)
    assert offered[:3] == ["last", "vit", "resnet"]
    assert "two words" not in offered
    assert len(offered) == 6
    assert values("histhooks show re", folder) == ["resnet"]
    short = offered[3]
    assert short in values(f"histhooks show {short[:3]}", folder)


def test_models_their_aliases_and_versions(tmp_path: Path) -> None:
    make(tmp_path, "one", "two")
    store = tmp_path / "histhooks.db"
    models.promote(str(tmp_path / "one.bin"), model="fraud", reason="first", store=store)
    models.promote(str(tmp_path / "two.bin"), model="fraud", reason="second", store=store)
    assert values("histhooks models fr", tmp_path) == ["fraud"]
    assert values("histhooks rollback fr", tmp_path) == ["fraud"]
    assert complete("histhooks show fraud@", tmp_path, "fish")[-3:] == [
        "plain,fraud@production\t2",
        f"plain,fraud@2\t{sha(tmp_path / 'two.bin')}",
        f"plain,fraud@1\t{sha(tmp_path / 'one.bin')}",
    ]
    assert values("histhooks restore fraud @ pro", tmp_path) == ["production"]  # as bash splits it
    assert values("histhooks promote one.bin --model fr", tmp_path) == ["fraud"]


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def test_metrics_of_the_run_that_was_typed(folder: Path) -> None:
    assert values("histhooks metrics resnet val_", folder) == ["val_acc", "val_loss"]
    assert values("histhooks metrics vit val_", folder) == []


def test_values_of_options(folder: Path) -> None:
    assert values("histhooks runs --sort val", folder) == ["val_acc", "val_loss"]
    assert values("histhooks runs --sort params", folder) == ["params.lr"]
    assert values("histhooks runs --project ", folder) == ["churn"]
    assert values("histhooks runs --status f", folder) == ["finished", "failed"]
    assert values("histhooks runs --tag t", folder) == ["team=red"]
    assert values("histhooks data vit --role ", folder) == ["train", "valid", "test"]


def test_files_are_the_shells_own_matter(folder: Path, tmp_path: Path) -> None:
    assert complete("histhooks whence mod", folder)[0] == "file,mod"
    assert complete("histhooks runs --store hist", folder) == ["file,hist"]
    assert values(f"histhooks show {folder / 'histhooks.db'} re", tmp_path) == ["resnet"]


def test_where_there_is_no_store_nothing_is_offered_and_nothing_said(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert values("histhooks show ", empty) == []
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_and_answers(folder: Path, shell: str) -> None:
    environment = {**os.environ, "_HISTHOOKS_COMPLETE": f"{shell}_source"}
    program = Path(sys.executable).with_name("histhooks")
    script = subprocess.run([program], env=environment, capture_output=True, text=True, timeout=60, check=True).stdout
    assert f"_HISTHOOKS_COMPLETE={shell}_complete" in script
    assert any("resnet" in line for line in complete("histhooks show re", folder, shell))


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_itself_completes(folder: Path) -> None:
    source = Path(sys.executable).with_name("histhooks")
    program = f"""
eval "$(_HISTHOOKS_COMPLETE=bash_source {source})"
COMP_WORDS=(histhooks show re); COMP_CWORD=2
_histhooks_completion {source} re show 2>/dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    path = f"{source.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", program],
        env={**os.environ, "PATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["resnet"], done.stderr
