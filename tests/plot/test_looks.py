"""Curves are told apart: by colour, then by dash, by the run, and by people of any colour vision."""

from __future__ import annotations

import re
from importlib import resources
from itertools import combinations
from pathlib import Path

import pytest

from histhooks import History
from histhooks._base.ids import new_id
from histhooks.plot import plot
from histhooks.plot._looks import COLOURS, DASHES, ON_WHITE, colour_of, looks_of
from histhooks.testing import run_program

# Machado, Oliveira and Fernandes (2009), severity 1.0: of linear sRGB.
EYES = {
    "any": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
}
SEEN = 0.075  # least difference in OKLab; that of two neighbours of Okabe and Ito's eight
WHITE, BLACK = "#ffffff", "#181d25"


def linear(colour: str) -> list[float]:
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]


def oklab(rgb: list[float]) -> list[float]:
    """https://bottosson.github.io/posts/oklab/"""
    to_cones = (
        (0.4122214708, 0.5363325363, 0.0514459929), (0.2119034982, 0.6806995451, 0.1073969566),
        (0.0883024619, 0.2817188376, 0.6299787005),
    )  # fmt: skip
    to_lab = (
        (0.2104542553, 0.7936177850, -0.0040720468), (1.9779984951, -2.4285922050, 0.4505937099),
        (0.0259040371, 0.7827717662, -0.8086757660),
    )  # fmt: skip
    cones = [sum(a * b for a, b in zip(row, rgb, strict=True)) ** (1 / 3) for row in to_cones]
    return [sum(a * b for a, b in zip(row, cones, strict=True)) for row in to_lab]


def difference(a: str, b: str, eye: str) -> float:
    def seen(colour: str) -> list[float]:
        rgb = linear(colour)
        return oklab([min(1.0, max(0.0, sum(x * y for x, y in zip(row, rgb, strict=True)))) for row in EYES[eye]])

    return sum((x - y) ** 2 for x, y in zip(seen(a), seen(b), strict=True)) ** 0.5


def contrast(a: str, b: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""
    light = sorted(sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear(c), strict=True)) for c in (a, b))
    return (light[1] + 0.05) / (light[0] + 0.05)


def themes() -> dict[str, list[str]]:
    """The colours of curves of the pages, in the order of the sheet."""
    text = resources.files("histhooks.ui").joinpath("static/histhooks.css").read_text(encoding="utf-8")
    found = [re.findall(r"#\w{6}", line) for line in text.splitlines() if line.lstrip().startswith("--c0:")]
    return dict(zip(("light", "dark", "dark by the address"), found, strict=True))


@pytest.mark.parametrize("eye", EYES)
def test_colours_of_curves_are_told_apart_with_any_colour_vision(eye: str) -> None:
    for palette in (list(COLOURS), *themes().values()):
        assert len(palette) == 8
        assert min(difference(a, b, eye) for a, b in combinations(palette, 2)) > SEEN


def test_curves_are_seen_on_their_ground_and_saved_as_they_are_shown() -> None:
    light, dark, asked = themes().values()
    assert list(ON_WHITE) == light
    assert dark == asked
    assert min(contrast(colour, WHITE) for colour in light) >= 3
    assert min(contrast(colour, BLACK) for colour in dark) >= 3
    assert min(contrast(colour, ground) for colour in COLOURS for ground in (WHITE, BLACK)) > 2.6


def test_compared_runs_have_colours_of_their_own_then_dashes_and_a_new_one_changes_no_other() -> None:
    runs = sorted(new_id() for _ in range(32))
    before: dict[str, tuple[int, int]] = {}
    for count in range(1, len(runs) + 1):
        looks = looks_of(reversed(runs[:count]))
        assert len({*looks.values()}) == count
        assert len({colour for colour, _ in looks.values()}) == min(count, 8)
        assert looks.items() >= before.items()
        before = looks
    assert looks_of(runs[:1])[runs[0]][0] == colour_of(runs[0])
    assert len(looks_of(new_id() for _ in range(33))) == 33


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("looks") / "h.db"
    program = """
import histhooks
for number in range(12):
    with histhooks.start_run(f"net {number}") as run:
        for step in range(3):
            run.log({"loss": 1.0 + number, "val_loss": 2.0 + number}, step=step)
"""
    code, _, error = run_program(program, path)
    assert code == 0, error
    return path


def test_twelve_runs_in_a_picture_look_as_they_do_on_the_pages(store: Path, tmp_path: Path) -> None:
    with History(store) as history:
        runs = history.runs()
        plot(runs, "loss").save(tmp_path / "all.svg")
        plot(runs[:3], ["loss", "val_loss"]).save(tmp_path / "both.svg")
    line = r'd="M\d+ [\d.]+h22" stroke="(#\w+)" stroke-width="2.4" stroke-dasharray="([^"]+)"'
    found = re.findall(line, (tmp_path / "all.svg").read_text(encoding="utf-8"))
    looks = looks_of(run.id for run in runs)
    assert found == [(ON_WHITE[looks[run.id][0]], DASHES[looks[run.id][1]] or "none") for run in runs]
    assert len({*found}) == 12
    height = int(re.findall(r'<svg [^>]*height="(\d+)"', (tmp_path / "all.svg").read_text(encoding="utf-8"))[0])
    assert height - 18 * 12 > 350  # a long legend leaves the curves their room
    both = re.findall(line, (tmp_path / "both.svg").read_text(encoding="utf-8"))
    assert len({*both}) == 6
    assert [colour for colour, _ in both[::2]] == [colour for colour, _ in both[1::2]]  # of one run
    assert {dash for _, dash in both[::2]} == {"none"}
