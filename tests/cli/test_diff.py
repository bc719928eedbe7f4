"""``diff`` as a person calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import histhooks
from helpers import verbs


def ask(*words: str, columns: int = 100) -> tuple[int, str, str]:
    return verbs.ask("diff", *words, COLUMNS=str(columns))


def pair(store: Path, name: str) -> tuple[str, str]:
    with histhooks.History(store) as history:
        ids = [run.id for run in history.runs(is_nested=False) if run.name == name]
    return ids[1], ids[0]


def test_only_differences_are_told_and_the_rest_in_one_line(trained: Path) -> None:
    code, out, _ = ask(str(trained), *pair(trained, "network·Sequential"))
    assert code == 1
    for words in (
        "train content",
        "-SCALE = 16.0",
        "+SCALE = 8.0",
        "set_random_seed  1 → 2",
        "1210 → 1810",
        "val_loss",
    ):
        assert words in out, words
    assert "batch_size" not in out
    (same,) = [line for line in out.splitlines() if line.startswith("same  ")]
    assert "packages" in same or "environment" in same
    assert "They differ in data, code" in out
    order = [out.index(f"\n{part}\n") for part in ("data", "code", "optimizer", "seeds", "architecture", "metrics")]
    assert order == sorted(order)


def test_exit_codes_say_same_differs_and_cannot_tell(trained: Path, tmp_path: Path) -> None:
    first, second = pair(trained, "classic·Pipeline")
    assert ask(str(trained), first, first)[0] == 0
    assert ask(str(trained), first, second)[0] == 1
    histhooks.autolog(store=tmp_path / "a.db")
    for name in ("x", "y"):
        histhooks.start_run(name).end()
    histhooks.flush()
    code, out, _ = ask(str(tmp_path / "a.db"), "x", "y")
    assert code == 2
    assert "cannot tell  data: A: no data was recorded" in out
    assert ask(str(trained), "x")[0] == 2
    assert ask(str(trained), first, "nobody")[0] == 2


def test_json_tells_the_same(trained: Path) -> None:
    first, second = pair(trained, "classic·Pipeline")
    code, out, _ = ask(str(trained), first, second, "--json")
    found = json.loads(out)
    assert code == 1
    assert found["differs"] is True
    assert {c["key"]: (c["a"], c["b"]) for c in found["parts"]["params"]["changes"]}["logisticregression__C"] == (
        1,
        0.5,
    )
    assert found["patch"]["kind"] == "states"
    assert "+SCALE = 8.0" in found["patch"]["text"]
    assert found["a"]["id"] == first


def test_a_long_patch_is_cut_on_the_screen_and_whole_with_code(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    program = "import histhooks\nhisthooks.start_run('a').end()\n"
    (folder / "train.py").write_text(program)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    identity = ["-c", "user.name=someone", "-c", "user.email=someone@example.org"]
    subprocess.run(["git", *identity, "commit", "-q", "-m", "first"], cwd=folder, check=True)
    for more in ("", "".join(f"# line {n}\n" for n in range(100))):
        (folder / "train.py").write_text(program + more)
        subprocess.run([sys.executable, "train.py"], cwd=folder, check=True)
    store = str(folder / "histhooks.db")
    code, out, _ = ask(store, "last~1", "last")
    assert code == 1
    assert "+# line 5\n" in out
    assert "+# line 99\n" not in out
    assert "more lines with --code" in out
    assert "+# line 99\n" in ask(store, "last~1", "last", "--code")[1]


def test_no_line_is_wider_than_the_terminal_but_those_of_the_patch(trained: Path) -> None:
    for name in ("network·Sequential", "loop·Sequential", "classic·Pipeline", "classic·GridSearchCV"):
        for columns in (80, 100, 140):
            out = ask(str(trained), *pair(trained, name), columns=columns)[1]
            wide = [line for line in out.splitlines() if len(line) > columns and line[:1] not in "+-@ d"]
            assert wide == []


def test_hostile_names_are_printed_as_they_are(trained: Path) -> None:
    code, out, _ = ask(str(trained), "plain", "last")
    assert code == 1
    assert "<script>alert(1)</script>" in out
    assert "[bold]" in out
