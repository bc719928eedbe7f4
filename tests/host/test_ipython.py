"""The name of a notebook, where something says it; a program that runs several says it of none."""

from __future__ import annotations

import pytest

from histhooks._host.ipython import named_in, notebook_name, show


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/bin/python3 /usr/bin/jupyter-nbconvert --to html --execute work/train.ipynb", "work/train.ipynb"),
        ("python -m jupyter nbconvert --execute train.ipynb --output done.ipynb", "train.ipynb"),
        ("python -m nbconvert --execute train.ipynb", "train.ipynb"),
        ("/usr/bin/python3 /usr/bin/jupyter-execute train.ipynb", "train.ipynb"),
        ("/usr/bin/python3 /usr/bin/papermill train.ipynb out/2024.ipynb -p lr 0.1", "train.ipynb"),
        ("python -m papermill train.ipynb -", "train.ipynb"),
        ("jupyter nbconvert --execute a.ipynb b.ipynb", None),
        ("jupyter nbconvert --execute *.md", None),
        ("jupyter lab train.ipynb", None),
        ("python run_all.py a.ipynb", None),
        ("", None),
    ],
)
def test_a_program_that_runs_one_notebook_has_its_name_in_its_command(command: str, name: str | None) -> None:
    assert named_in(command.split()) == name


def test_a_program_that_is_no_notebook_has_no_name_and_no_place_for_html(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "console-1-4f4a")
    assert notebook_name() is None
    assert show("text", "<b>text</b>") is False
