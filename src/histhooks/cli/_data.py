"""``data``: the data of a run by content, or how the data of two runs compares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from histhooks._views import data_words as words_of
from histhooks._views.table import Cell, Column, is_endless, lines, width
from histhooks.cli import _common as common
from histhooks.history.data.chance import judge
from histhooks.history.data.columns import TARGET, columns_of
from histhooks.history.data.dataset import by_role
from histhooks.history.data.sides import HOW

if TYPE_CHECKING:
    from rich.console import Console

    from histhooks.history import DataComparison, History, RunRecord
    from histhooks.history.data.columns import ColumnChange
    from histhooks.history.data.dataset import Dataset

_FEW = 6  # splits, files, columns that differ
_JUDGING = ("valid", "test")


@click.command(epilog="Example: histhooks data last --columns")
@click.argument("words", nargs=-1, metavar="[STORE] RUN | A B")
@common.store_option
@click.option("--role", metavar="ROLE", help="The data to show or to compare: train, valid, test, ...")
@click.option("--against", metavar="ROLE", help="The data of B, if it is of another role than --role.")
@click.option("--columns", "has_columns", is_flag=True, help="Show what was counted of each column.")
@common.json_option
@click.pass_context
def data(
    ctx: click.Context,
    words: tuple[str, ...],
    store: str | None,
    role: str | None,
    against: str | None,
    has_columns: bool,
    as_json: bool,
) -> None:
    """Show the data of a run by content, and what its parts share; or compare the data of two runs.

    A and B are runs or ids of data sets. Exit code of one run: 1 if data sets share rows that chance does not explain;
    2 if no content was recorded; else 0. Of two: 0 for the same content; 1 if it differs; 2 if the record cannot tell.
    """
    words, store = common.split_store(words, store)
    if len(words) > 2:
        raise click.UsageError(f"data takes one run, or two, not {len(words)}")
    if against is not None and len(words) < 2:
        raise click.UsageError("--against needs two runs, which may be the same one twice")
    with common.open_history(store) as history:
        if len(words) == 2:
            ctx.exit(_compare(history, words, (role, against), has_columns=has_columns, as_json=as_json))
        run = history.run(words[0] if words else "last")
        ctx.exit(_one(run, role, has_columns=has_columns, as_json=as_json))


# --- one run ----------------------------------------------------------------------------------------------------------


def _one(run: RunRecord, role: str | None, *, has_columns: bool, as_json: bool) -> int:
    sets = by_role(run.datasets)
    if role is not None and sets and role not in sets:
        raise click.UsageError(f"it has no data of role {role!r}; it has {', '.join(sets)}")
    shown = {name: one for name, one in sets.items() if role in (None, name)}
    ids = {one["id"] for one in shown.values()}
    overlaps = [one for one in run.overlaps if role is None or one.dataset_id in ids or one.other_dataset_id in ids]
    # The first batches of a loader say nothing of the rows that data sets share.
    is_known = any(not each.is_of_batches for one in shown.values() for each in one.digests) or bool(overlaps)
    is_shared = any(judge(one).counts for one in overlaps) or any(_is_trained_on(run, one) for one in shown.values())
    code = 1 if is_shared else 0 if is_known else 2
    if as_json:
        common.print_json(_as_json(run, shown))
        return code
    from rich.text import Text

    console = common.console()
    head = Text(common.plain(run.name), style="bold").append(f"  {run.kind}", style="not bold")
    console.print(head.append(f"  {run.id}", style="not bold dim"))
    for name, one in shown.items():
        _dataset(console, run, name, one, has_columns=has_columns)
    for line in _beside(run, shown):
        console.print(Text(common.plain(line), style="dim"))
    for line in [] if is_known else _unrecorded(run, shown):
        console.print(Text(common.plain(line), style="yellow"))
    return code


def _dataset(console: Console, run: RunRecord, name: str, one: Dataset, *, has_columns: bool) -> None:
    """One data set: a title, and a line for each thing that is known of it."""
    from rich.table import Table
    from rich.text import Text

    title = Text(f"\n{common.plain(name)}", style="bold").append(
        f"  {common.plain(words_of.shape(one))}", style="not bold"
    )
    origin = " ".join(word for word in (one["name"], f"from {one['source']}" if one["source"] else None) if word)
    title.append(f"  {common.plain(origin)}" if origin else "", style="not bold")
    console.print(title.append(f"  {one['id'][:12]}", style="not bold dim"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, texts in _facts(run, name, one, has_columns=has_columns).items():
        for number, (text, style) in enumerate(texts):
            grid.add_row("" if number else f"  {label}", Text(common.plain(text), style=style))
    console.print(grid)
    if has_columns:
        _columns(one)


def _facts(run: RunRecord, name: str, one: Dataset, *, has_columns: bool) -> dict[str, list[tuple[str, str]]]:
    """What is known of a data set, by a label: texts, each with its style."""
    overlaps = [(words_of.overlap(each), "red" if judge(each).counts else "") for each in one.overlaps]
    has_train = any(other["role"] == "train" for other in run.datasets)
    if not overlaps and has_train and one["role"] in _JUDGING:
        overlaps = [("not measured", "dim")]
    equal = [role for role, other in _equals(run, one) if role != name]
    splits = words_of.splits_into(run.splits, one["n_rows"])
    told = [each for each in run.transforms if each.role == one["role"]]
    return {
        "hashes": [(text, "") for text in words_of.digests(one)],
        "same as": [(_same_as(equal, one), "red" if _is_trained_on(run, one) else "")] if equal else [],
        "twins": [(words_of.twins(one), "")] if words_of.twins(one) else [],
        "overlap": overlaps,
        "split": [(f"of as many rows: {words_of.split(each)}", "") for each in splits[:1]],
        "seen by": [(words_of.transform(each, run), "") for each in told],
        "columns": [(text, "") for text in _column_summary(one, has_columns=has_columns)],
    }


def _same_as(roles: Sequence[str], one: Dataset) -> str:
    asks = one["role"] in _JUDGING and "train" in roles
    return ", ".join(roles) + (": should the model be judged by what it was trained on?" if asks else "")


def _is_trained_on(run: RunRecord, one: Dataset) -> bool:
    """Whether data that judges the model is the training data itself."""
    return one["role"] in _JUDGING and any(other["role"] == "train" for _, other in _equals(run, one))


def _equals(run: RunRecord, one: Dataset) -> Iterator[tuple[str, Dataset]]:
    """The data sets of the run whose values are the same, by digests that cover all of them."""
    mine = one.digest("features")
    for role, other in by_role(run.datasets).items():
        theirs = other.digest("features")
        is_id = other["id"] == one["id"] and one["coverage"] == "all"
        is_digest = mine is not None and theirs is not None and mine.is_whole and theirs.is_whole
        if is_id or (is_digest and mine is not None and theirs is not None and mine.digest == theirs.digest):
            yield role, other


def _column_summary(one: Dataset, *, has_columns: bool) -> list[str]:
    """How many columns were counted, and those in which something is odd."""
    found = columns_of(one)
    if not found:
        return []
    odd = {
        "with missing values": [name for name, facts in found.items() if facts.get("missing")],
        "with infinite values": [name for name, facts in found.items() if facts.get("infinite")],
        "with one value only": [name for name, facts in found.items() if facts.get("distinct") == 1],
        "equal to the target": [name for name, facts in found.items() if facts.get("equals_target")],
    }
    texts = [f"{len(names):,} {what}: {_few(names)}" for what, names in odd.items() if names]
    n = len(found.keys() - {TARGET})
    target = " and the target" if TARGET in found else ""
    return [f"{n:,}{target} counted" + ("" if has_columns else "; --columns shows them"), *texts]


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _FEW:,} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more


def _beside(run: RunRecord, shown: Mapping[str, Dataset]) -> Iterator[str]:
    """What may have made the data: splits that fit none of it by size, and files that were read."""
    sizes = {one["n_rows"] for one in shown.values()}
    others = [one for one in run.splits if not sizes & {*one.n_out}]
    if others:
        yield "\nother splits"
        yield from (f"  {words_of.split(one)}" for one in others[-_FEW:])
    files = words_of.file_reads(run, _FEW)
    if files:
        yield "\nfiles that the program read"
        yield from (f"  {line}" for line in files)


def _unrecorded(run: RunRecord, shown: Mapping[str, Dataset]) -> Iterator[str]:
    """That nothing was recorded, why, and how to record it."""
    yield "\nnot recorded: " + ("which data it used" if not shown else "its data by content")
    for capture in run.captures:
        if capture["collector"].startswith(("data", "dataset")) and capture["status"] != "ok":
            yield f"  {capture['collector']}: {capture['status']}" + (f", {capture['note']}" if capture["note"] else "")
    yield f"  {words_of.HOW}" if shown else f"  {HOW}; of a loop of your own with run.log_dataset()"


def _columns(one: Dataset) -> None:
    """What was counted of each column."""
    found = columns_of(one)
    names = ["count", "missing", "infinite", "distinct", "zero", "min", "max", "mean", "std", "monotone", "alone"]
    ranks = dict(zip(names, (8, 0, 4, 0, 7, 0, 0, 0, 5, 6, 3), strict=True))
    head = [Column("  column", least=12), *(Column(name, rank=ranks[name], is_right=True) for name in names)]
    head += [
        Column("target", rank=2),
        Column("values of each kind", rank=9, least=12),
        Column("deciles", rank=10, least=16),
    ]
    table = []
    for name, facts in found.items():
        cells = [words_of.facts(facts, key) if facts.get(key) or key not in _QUIET else "" for key in names]
        equal = "equals it" if facts.get("equals_target") else ""
        edges = facts.get("edges") or []
        deciles = " ".join(common.number(float(edge)) for edge in edges)
        texts = [f"  {common.plain(name)}", *cells, equal, words_of.facts(facts, "categories"), deciles]
        table.append([Cell(text) for text in texts])
    for line in lines(head, table, width()) if table else ["  no columns were counted"]:
        click.echo(line, color=True)


_QUIET = ("infinite", "zero", "monotone")  # said only where there is something


def _as_json(run: RunRecord, shown: Mapping[str, Dataset]) -> dict[str, Any]:
    """What is known of the data of a run, as plain values."""
    sets = [
        {
            **one.whole(),
            "overlaps": [{**asdict(each), **asdict(judge(each))} for each in one.overlaps],
            "is_used_as": name,
            "same_as": [role for role, _ in _equals(run, one) if role != name],
        }
        for name, one in shown.items()
    ]
    head = {"id": run.id, "name": run.name, "status": run.status, "started_at": run.started_at}
    return {
        "run": head, "datasets": sets, "splits": [asdict(one) for one in run.splits],
        "transforms": [asdict(one) for one in run.transforms], "file_reads": run.file_reads,
    }  # fmt: skip


# --- two --------------------------------------------------------------------------------------------------------------


def _compare(
    history: History,
    words: Sequence[str],
    roles: tuple[str | None, str | None],
    *,
    has_columns: bool,
    as_json: bool,
) -> int:
    found = history.compare_data(*words, role=roles[0], against=roles[1])
    if as_json:
        common.print_json(found.as_json())
    else:
        screen(found, has_columns=has_columns)
    return {True: 0, False: 1, None: 2}[found.is_same]


def screen(found: DataComparison, *, has_columns: bool = False) -> None:
    """Print how two data sets compare."""
    from rich.table import Table
    from rich.text import Text

    console = common.console()
    for name, side in (("A", found.a), ("B", found.b)):
        console.print(Text(f"{name}  ", style="bold").append(common.plain(words_of.side(side)), style="not bold"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, pair in found.shape.items():
        grid.add_row(label.removeprefix("n_"), Text(common.plain(f"{pair[0]} → {pair[1]}")))
    for one in words_of.answers(found):
        style = {True: "", False: "red", None: "yellow"}[one.is_same]
        grid.add_row(one.part, Text(common.plain(words_of.answer(one, found)), style=style))
    if found.shared is not None:
        grid.add_row("shared rows", Text(words_of.shared_rows(found.shared)))
    if found.columns:
        grid.add_row("columns", Text(common.plain(_changed(found, has_columns=has_columns))))
    elif found.n_columns and not found.is_same:
        grid.add_row("columns", Text(f"nothing that was counted differs in {found.n_columns:,} columns"))
    console.print()
    console.print(grid)
    if has_columns and found.columns:
        click.echo()
        _changes(found.columns)
    console.print(Text(f"\n{words_of.verdict(found)}", style="bold"))


def _changed(found: DataComparison, *, has_columns: bool) -> str:
    """How many columns differ, and the first of them."""
    n = len(found.columns)
    head = f"{n:,} of {max(n, found.n_columns):,} differ in what was counted"
    if has_columns:
        return head
    told = [words_of.change(one) for one in found.columns[:_FEW]]
    return "\n".join([head, *told, *([f"… {n - _FEW:,} more with --columns"] if n > _FEW else [])])


def _changes(columns: Sequence[ColumnChange]) -> None:
    """Each fact that differs of each column."""
    head = [Column("  column", least=12), Column("fact"), Column("A", least=10), Column("B", least=10)]
    table = []
    for one in columns:
        if one.a is None or one.b is None:
            texts = [("only here" if side is not None else "–") for side in (one.a, one.b)]
            table.append([Cell(f"  {common.plain(one.name)}"), Cell(""), *map(Cell, texts)])
            continue
        for key in one.a:
            texts = [words_of.facts(side, key) for side in (one.a, one.b)]
            if texts[0] == texts[1] and not is_endless():
                texts = [common.value_text(side[key], 200) for side in (one.a, one.b)]
            table.append(
                [Cell(f"  {common.plain(one.name)}"), Cell(key), *(Cell(common.plain(text)) for text in texts)]
            )
    for line in lines(head, table, width()):
        click.echo(line, color=True)
