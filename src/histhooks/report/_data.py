"""Data in a report: what it was, its columns, what its parts share, where it came from; and weights by content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histhooks._base import text as _text
from histhooks._base.ids import short_id
from histhooks._views import data_words as words_of
from histhooks.history._places import place
from histhooks.history.data.chance import judge
from histhooks.history.data.columns import columns_of
from histhooks.history.data.dataset import by_role
from histhooks.report._blocks import Block, Table, Text

if TYPE_CHECKING:
    from histhooks.history import RunRecord
    from histhooks.history.data.dataset import Dataset

_MOST_COLUMNS = 100
_MOST_SETS = 8  # of which the columns are listed
_MOST_ROWS = 200
_FACTS = ("count", "missing", "infinite", "distinct", "zero", "min", "max", "mean", "std", "alone")


def data(run: RunRecord) -> list[Block]:
    """The data of a run."""
    sets = by_role(run.datasets)
    if not sets:
        return [Text("No data was recorded.", "faint")]
    rows = []
    for name, one in sets.items():
        covers = {"all": "all of it", "sample": "a sample", "none": "not hashed", None: "unknown"}[one["coverage"]]
        size = _text.number(one["n_rows"]), _text.number(one["n_columns"]), _text.size(one["size_bytes"])
        origin = " ".join(filter(None, [one["name"], one["source"]]))
        rows.append([name, one["kind"], *size, one["content_hash"] or "–", covers, origin or "–"])
    head = ["role", "kind", "rows", "columns", "size", "hash of the content", "covers", "from"]
    blocks: list[Block] = [Table(head, rows[:_MOST_ROWS], frozenset({2, 3, 4}))]
    blocks += digests(sets)
    blocks += _overlaps(run)
    blocks += _origins(run)
    shown = list(sets.items())[:_MOST_SETS]
    blocks += [block for name, one in shown for block in columns(name, one)]
    if len(sets) > len(shown):
        blocks.append(Text(f"The columns of {len(sets) - len(shown)} more data sets are not listed.", "faint"))
    return blocks


def digests(sets: dict[str, Dataset]) -> list[Block]:
    rows = []
    for name, one in sets.items():
        for digest in one.digests:
            covers = words_of.COVERAGE.get(digest.coverage, digest.coverage)
            seen = _text.number(digest.n_rows)
            rows.append([name, digest.part, digest.algorithm, digest.digest or "–", covers, seen, digest.key_id or "–"])
    if not rows:
        return [Text(f"Its content was not hashed in parts: {words_of.HOW}.", "faint")]
    head = ["data", "part", "algorithm", "digest", "covers", "rows", "key"]
    twins = [f"{name}: {text}." for name, one in sets.items() if (text := words_of.twins(one))]
    table = Table(head, rows[:_MOST_ROWS], frozenset({5}))
    return [table, Text("\n".join(twins))] if twins else [table]


def _overlaps(run: RunRecord) -> list[Block]:
    rows, found = [], run.overlaps
    for one in found[:_MOST_ROWS]:
        judged = judge(one)
        other = short_id(one.other_run_id) if one.other_run_id else "–"
        chance = words_of.share(judged.by_chance) if judged.by_chance is not None else "–"
        names = [" and ".join(roles) or "–" for roles in (one.roles, one.other_roles)]
        counts = f"{one.n_equal:,} of {one.n_rows:,}", words_of.share(judged.share)
        rows.append([names[0], names[1], other, one.part, *counts, chance, words_of.overlap(one)])
    head = ["data", "also in", "of run", "by", "rows", "share", "twins inside", "what it says"]
    return [Table(head, rows, frozenset({4, 5, 6}))] if rows else []


def _origins(run: RunRecord) -> list[Block]:
    """Splits, and the transformers that data came out of."""
    splits = [
        [one.function, _text.value_text(dict(one.arguments), 400), _text.number(one.n_in),
         " + ".join(map(str, one.n_out[:10])) or "–", one.location or "–"]
        for one in words_of.latest(run.splits, [data["n_rows"] for data in run.datasets])[:_MOST_ROWS]
    ]  # fmt: skip
    steps = [
        [one.role, str(one.position + 1), one.class_name, words_of.transform(one, run), (one.state_sha256 or "–")[:12]]
        for one in run.transforms[:_MOST_ROWS]
    ]
    blocks: list[Block] = []
    if splits:
        blocks.append(Table(["split", "settings", "samples", "parts", "where"], splits, frozenset({2})))
    if steps:
        blocks.append(Table(["data", "step", "transformer", "what it had seen", "state"], steps, frozenset({1})))
    return blocks


def columns(name: str, one: Dataset) -> list[Block]:
    """The columns of a data set; facts that no column has are left out."""
    found = columns_of(one)
    if not found:
        return []
    known = [key for key in _FACTS if any(facts.get(key) is not None for facts in found.values())]
    rows = []
    for column, facts in list(found.items())[:_MOST_COLUMNS]:
        edges = facts.get("edges") or []
        deciles = " ".join(_text.number(float(edge)) for edge in edges)
        equal = "yes" if facts.get("equals_target") else ""
        cells = [words_of.facts(facts, key) for key in known]
        rows.append([column, *cells, equal, deciles or words_of.facts(facts, "categories")])
    head = ["column", *known, "equals target", "deciles, or counts of categories"]
    blocks: list[Block] = [Text(f"Columns of {name}"), Table(head, rows, frozenset(range(1, len(known) + 1)))]
    if len(found) > _MOST_COLUMNS:
        blocks.append(Text(f"and {len(found) - _MOST_COLUMNS} more columns", "faint"))
    return blocks


def weights(run: RunRecord) -> list[Block]:
    """The weights of the model, by content, at the points at which they were taken."""
    rows = [
        [one.point, _text.number(one.step), one.digest or "–", f"{one.n_tensors:,}", f"{one.n_values:,}",
         _text.number(one.nonfinite), _text.number(one.l2)]
        for one in run.weights[:_MOST_ROWS]
    ]  # fmt: skip
    head = ["weights", "step", "hash", "arrays", "values", "not finite", "norm"]
    return [Table(head, rows, frozenset({1, 3, 4, 5, 6}))] if rows else []


def files_read(run: RunRecord) -> list[Block]:
    """Files that the program read, by content, also before the run began."""
    found = run.file_reads
    rows = [
        [place(run, file["path"]), _text.size(file["size_bytes"]), file["sha256"] or "–", file["function"],
         file["location"] or "–", "before the run" if file["is_before"] else "in the run"]
        for file in found[:_MOST_ROWS]
    ]  # fmt: skip
    head = ["file that was read", "size", "SHA-256", "by", "where", "when"]
    more = [Text(f"and {len(found) - _MOST_ROWS} more", "faint")] if len(found) > _MOST_ROWS else []
    return [Table(head, rows, frozenset({1})), *more] if rows else []
