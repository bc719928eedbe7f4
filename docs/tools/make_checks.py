"""Write the list of checks into ``docs/guide/checks.md``: ``python docs/tools/make_checks.py``."""

from __future__ import annotations

from pathlib import Path

from histhooks.checks import Check, all_checks
from histhooks.checks._measured import precision, recall, sentence

PAGE = Path(__file__).resolve().parents[1] / "guide" / "checks.md"
MARK = "<!-- From here on by `python docs/tools/make_checks.py`, from src/histhooks/checks/rules. -->\n"


def table(checks: list[Check]) -> list[str]:
    """The list of checks, a line each.

    Parameters
    ----------
    checks : list of Check

    Returns
    -------
    list of str
        Lines of Markdown.
    """
    rows = [
        f"| [`{check.id}`](#{anchor(check)}) | {check.title} | {', '.join(check.levels)} | {recall(check.id)} "
        f"| {precision(check.id)} |"
        for check in checks
    ]
    return ["| check | says | levels | recall | precision |", "|---|---|---|---|---|", *rows, ""]


def anchor(check: Check) -> str:
    """The anchor of a check's heading, as Markdown makes it."""
    return check.id.replace(".", "")


def section(check: Check) -> list[str]:
    """All that is known of one check.

    Parameters
    ----------
    check : Check

    Returns
    -------
    list of str
        Lines of Markdown.
    """
    limits = ", ".join(f"`{name}` {value:g}" for name, value in check.thresholds.items())
    facts = [
        ("rule", check.rule), ("thresholds", limits), ("source", check.source), ("needs", check.needs),
        ("why", check.why), ("advice", check.advice), ("found in", check.triggers), ("silent in", check.is_silent),
        ("not seen", check.limits), ("measured", sentence(check.id)),
    ]  # fmt: skip
    rows = [f"| {label} | {text.replace('|', chr(92) + '|')} |" for label, text in facts if text]
    return [f"### {check.id}", "", f"Says: {check.title}.", "", "| | |", "|---|---|", *rows, ""]


def page(written: str) -> str:
    """The page with its list as it should be.

    Parameters
    ----------
    written : str
        The page as it is; what stands above the mark stays.

    Returns
    -------
    str
        Markdown.
    """
    checks = list(all_checks().values())
    parts = [line for check in checks for line in section(check)]
    return written.partition(MARK)[0] + MARK + "\n" + "\n".join([*table(checks), *parts]).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
