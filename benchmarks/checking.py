"""How often checks are right: trainings with planted faults and clean ones, in all five frameworks, by seed.

The programs are those of ``checked/``: each writes what is true of its trainings into ``truth.jsonl``, by construction,
or by an oracle of fresh rows where nobody can know beforehand. Rules were tuned on seeds below 100; `checks` counts on
others.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import place, python

HERE = Path(__file__).parent / "checked"
# How many seeds each program has of one repeat: what is cheap has more.
PROGRAMS = {
    "planted_tables": 4, "loops": 2, "boosted": 3, "clean_tables": 2, "unjudged": 3, "lightning_fits": 2,
    "keras_fits": 1,
}  # fmt: skip
FIRST = 100  # the first seed that no rule was tuned on
AT_ONCE = 5  # seeds in one process
ALARMS = ("warn", "fail")


def checks(repeats: int) -> None:
    """Precision and recall of each check, of as many seeds as turns are asked for; bounds of 95 % (Wilson)."""
    raw = Path(os.environ.get("HISTHOOKS_BENCH_RAW", "checks.jsonl"))
    rows = []
    with raw.open("w", encoding="utf-8") as file:
        for turn in range(repeats):
            for program, times in PROGRAMS.items():
                first = FIRST + turn * times
                for row in judged(range(first, first + times), [program]):
                    rows.append(row)
                    file.write(json.dumps(row) + "\n")
                file.flush()
    report(rows)
    print(f"each training, with its truth and what was said of it: {raw}")


def judged(seeds: range, programs: Iterable[str]) -> Iterator[dict[str, Any]]:
    """What is true of each training, and what checks say of it."""
    for program in programs:
        for first in seeds[::AT_ONCE]:
            count = min(AT_ONCE, seeds.stop - first)
            with place() as folder:
                python(folder, str(HERE / f"{program}.py"), str(first), str(count), OMP_NUM_THREADS="1",
                       OPENBLAS_NUM_THREADS="1", PYTHONPATH=str(HERE), KERAS_BACKEND="torch",
                       HISTHOOKS_HEARTBEAT="60")  # fmt: skip
                yield from _told(folder, program)


def _told(folder: Path, program: str) -> Iterator[dict[str, Any]]:
    from histhooks import History

    lines = (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    truths = [json.loads(line) for line in lines]
    with History(folder / "histhooks.db") as history:
        found = {run.name: run for run in history.runs(kind="block", is_nested=False)}
        for truth in truths:
            verdicts = [each.check() for each in trained(found[truth["name"]])]
            said: dict[str, str] = {}
            for finding in (one for verdict in verdicts for one in verdict.findings):
                said[finding.id] = max(said.get(finding.id, ""), finding.level, key=("", "info", *ALARMS).index)
            unknown = sorted({one.id for verdict in verdicts for one in verdict.cannot_tell} - {*said})
            words = {one.id: one.says for verdict in verdicts for one in verdict.findings if one.rank}
            yield {"program": program, **truth, "said": said, "cannot_tell": unknown, "words": words}


def trained(run: Any) -> list[Any]:
    """The runs in a block in which something was trained; the block itself, if it is a loop of its own."""
    inner = [child for child in run.children if child.kind != "preprocess"]
    return [each for child in inner for each in (trained(child) if child.kind == "block" else [child])] or [run]


# --- counting ---------------------------------------------------------------------------------------------------------


def alarms(row: Mapping[str, Any]) -> set[str]:
    """The checks that warned or failed."""
    return {check for check, level in row["said"].items() if level in ALARMS}


def false_alarms(row: Mapping[str, Any]) -> set[str]:
    """The alarms that are false."""
    return alarms(row) - {*row["planted"], *row["unclear"], *row["also"]}


def report(rows: list[dict[str, Any]]) -> None:
    """Print tables, and the counts as ``src/histhooks/checks/_measured.py`` keeps them."""
    clean = [row for row in rows if not row["planted"] and not row["unclear"]]
    for row in rows:
        wrong = false_alarms(row)
        missed = {check for check in row["planted"] if not is_found(row, check)}
        for check in sorted(wrong):
            print(f"  false: {row['program']} {row['name']}: {check} {row['said'][check]}: {row['words'].get(check)}")
        for check in sorted(missed):
            print(f"  missed: {row['program']} {row['name']}: {check} {row['oracle'].get(check, '')} "
                  f"(said {row['said']}{', cannot tell' if check in row['cannot_tell'] else ''})")  # fmt: skip
    planted, found = Counter[str](), Counter[str]()
    for row in rows:
        planted.update(row["planted"])
        found.update(check for check in row["planted"] if is_found(row, check))
    false = Counter(check for row in rows for check in false_alarms(row))
    unclear = Counter(check for row in rows for check in row["unclear"])
    warned = [row for row in clean if false_alarms(row)]
    failed = [row for row in warned if any(row["said"][check] == "fail" for check in false_alarms(row))]
    print(f"\n{len(rows)} trainings, {len(clean)} of them clean: {len(failed)} of these failed "
          f"({bounds(len(failed), len(clean))}),")  # fmt: skip
    print(f"{len(warned)} had a warning ({bounds(len(warned), len(clean))})")
    print("| check | planted | found | recall | false | precision | unclear |\n|---|---|---|---|---|---|---|")
    for check in sorted({*planted, *false}):
        n, k, f = planted[check], found[check], false[check]
        print(f"| `{check}` | {n} | {k} | {bounds(k, n)} | {f} | {bounds(k, k + f)} | {unclear[check]} |")
    print(f"\nTRAININGS, CLEAN, WARNED, FAILED = {len(rows)}, {len(clean)}, {len(warned)}, {len(failed)}")
    print("COUNTS = {")
    for check in sorted({*planted, *false}):
        print(f'    "{check}": ({planted[check]}, {found[check]}, {false[check]}),')
    print("}")


def is_found(row: Mapping[str, Any], check: str) -> bool:
    """Whether a planted fault was found; information counts where a check has no graver level."""
    from histhooks.checks import all_checks

    return row["said"].get(check) in (ALARMS if {*all_checks()[check].levels} & {*ALARMS} else ("info", *ALARMS))


def bounds(k: int, n: int) -> str:
    """A share with its bounds of 95 %."""
    from histhooks.checks._statistics import wilson

    if not n:
        return "–"
    low, high = wilson(k, n)
    return f"{k / n:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--raw", type=Path, default=Path("checks.jsonl"))
    parser.add_argument("program", nargs="*")
    options = parser.parse_args()
    found = list(judged(range(options.first, options.first + options.seeds), options.program or PROGRAMS))
    options.raw.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    report(found)
