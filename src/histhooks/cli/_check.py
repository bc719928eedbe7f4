"""``check`` and ``waive``: the risks of runs, named from their record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from histhooks._base.ids import short_id
from histhooks._views import check_words as words_of
from histhooks._views.table import Cell, Column, is_endless, lines, styled, width
from histhooks.checks._inner import with_inner
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks.checks import Verdict
    from histhooks.history import History, RunRecord


def _several(ctx: click.Context, option: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Ids of an option that may be given several times, or with commas."""
    return tuple(name.strip() for text in value for name in text.split(",") if name.strip())


@click.command(epilog="Example: histhooks check last --fail-on warn; histhooks check --since 7d --junit checks.xml")
@click.argument("words", nargs=-1, metavar="[STORE] [RUN]...")
@common.store_option
@click.option("--since", metavar="WHEN", help="Check the top-level runs since a date, or of the last 7d.")
@click.option("--all-projects", is_flag=True, help="With --since: runs of all projects.")
@click.option(
    "--fail-on",
    type=click.Choice(["warn", "fail"]),
    help="Exit code 1 from this level on; by default fail.",
)
@click.option("--only", multiple=True, metavar="ID,...", callback=_several, help="Run only these checks.")
@click.option("--skip", multiple=True, metavar="ID,...", callback=_several, help="Skip these checks.")
@click.option("--against", metavar="RUN", help="A run to compare with: is the gain more than noise, what changed?")
@click.option("--save", is_flag=True, help="Keep the verdict in the history, covered by its ledger.")
@click.option("--junit", metavar="FILE", type=click.Path(), help="Write a report in the form of JUnit.")
@click.option("--format", "form", type=click.Choice(["github"]), help="Print workflow commands of GitHub.")
@click.option("--list", "wants_list", is_flag=True, help="List every check.")
@click.option("--explain", metavar="ID", help="Show the rule of a check, its source, and what it does not see.")
@common.json_option
@click.pass_context
def check(ctx: click.Context, /, words: tuple[str, ...], store: str | None, as_json: bool, **options: Any) -> None:
    """Name the risks of runs from their record: leaks, unset seeds, losses that are not finite, overfitting.

    Findings come with their numbers, why they matter and what to do next. Nothing is written without --save. Exit code
    0: nothing at or above --fail-on; 1: something; 2: no check could judge.
    """
    words, store = common.split_store(words, store)
    if options["wants_list"] or options["explain"]:
        _explain(options["explain"] or None, as_json=as_json)
        return
    if options["since"] and words:
        raise click.UsageError("--since chooses the runs; give it or RUN, not both")
    if options["save"]:
        from histhooks.curate._session import refuse_target

        refuse_target(store)
    with common.open_history(store) as history:
        against = history.run(options["against"]) if options["against"] else None
        runs = _since(history, options) if options["since"] else _chosen(history, words or ("last",))
        if not runs:
            raise click.UsageError(f"no run started since {options['since']}; `histhooks runs` lists what there is")
        asked = {"only": options["only"] or None, "skip": options["skip"], "fail_on": options["fail_on"]}
        verdicts = [run.check(**asked, against=against) for run in runs]
    if options["junit"]:
        _write(Path(options["junit"]), words_of.junit(verdicts))
    _print(verdicts, options["form"], as_json=as_json, is_folded=bool(options["since"]))
    if options["save"]:
        from histhooks import curate

        count = curate.save_checks(verdicts, store=store)
        click.echo(f"histhooks: {count} results are kept in the history", err=True)
    codes = {verdict.code for verdict in verdicts}
    ctx.exit(next(code for code in (1, 0, 2) if code in codes))


def _chosen(history: History, selectors: tuple[str, ...]) -> list[RunRecord]:
    """The runs that were named; of a block, also the trainings inside it."""
    found: dict[str, RunRecord] = {}
    for run in history.select(*selectors):
        for each in with_inner(run):
            found.setdefault(each.id, each)
    return list(found.values())


def _since(history: History, options: dict[str, Any]) -> list[RunRecord]:
    from histhooks._host.store_location import project_name

    which: dict[str, Any] = {"project": project_name()} if not options["all_projects"] else {}
    if which and not history.runs(**which, limit=1):
        which = {}
    runs = history.runs(since=options["since"], is_nested=False, **which)
    return [each for run in runs if run.kind != "preprocess" for each in with_inner(run)]


def _print(verdicts: list[Verdict], form: str | None, *, as_json: bool, is_folded: bool) -> None:
    if as_json:
        common.print_json({"runs": [verdict.as_json() for verdict in verdicts]})
    elif form == "github":
        for line in words_of.github(verdicts):
            click.echo(line)
    elif is_endless():
        for line in (line for verdict in verdicts for line in words_of.records(verdict)):
            click.echo(line)
    else:
        shown = [each for each in verdicts if not (is_folded and words_of.is_silent(each))]
        for verdict in shown:
            click.echo(styled(words_of.title(verdict), "bold"), color=True)
            for line in words_of.screen(verdict, width()):
                click.echo(line, color=True)
            if len(verdicts) > 1:
                click.echo()
        if len(verdicts) > 1:
            for line in words_of.totals(verdicts, len(verdicts) - len(shown)):
                click.echo(line)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{path} cannot be written ({error.strerror}); give another FILE") from error


def _explain(name: str | None, *, as_json: bool) -> None:
    """One check, or all of them in a table."""
    from histhooks.checks import _measured, all_checks
    from histhooks.checks._registry import known, plug_ins

    own = all_checks()
    names = known([name]) if name is not None else (*own, *plug_ins())
    if as_json:
        facts = [{"id": each, **dict(words_of.explained(own[each]))} for each in names if each in own]
        common.print_json(facts if name is None or len(facts) != 1 else facts[0])
        return
    if name is None:
        rows = [[Cell(each), Cell(", ".join(own[each].levels) if each in own else "its own"),
                 Cell(own[each].title if each in own else "of another package"), Cell(_measured.recall(each)),
                 Cell(_measured.precision(each))] for each in names]  # fmt: skip
        columns = [Column("check"), Column("levels", rank=2), Column("says", least=20), Column("recall", rank=1),
                   Column("precision", rank=1)]  # fmt: skip
        for line in lines(columns, rows, width()):
            click.echo(line, color=True)
        click.echo("recall, precision: 95 % bounds; – if not measured")
        click.echo(f"{len(names)} checks; histhooks check --explain ID shows the rule of one")
        return
    for each in names:
        click.echo(styled(each, "bold"), color=True)
        if each not in own:
            click.echo("  a check of another package, which says nothing of itself")
            continue
        for label, text in words_of.explained(own[each]):
            for line in words_of.labelled(label, text, width()):
                click.echo(line)


@click.command(epilog="Example: histhooks waive leak.prep last --reason 'transductive by design' --until 2027-01-31")
@click.argument("words", nargs=-1, metavar="[STORE] CHECK RUN|NAME@VERSION")
@common.written_store_option
@click.option("--reason", required=True, help="Why the finding is accepted; kept in the history, with your name.")
@click.option("--until", required=True, metavar="DAY", help="The last day on which the waiver holds: 2027-01-31.")
@common.json_option
def waive(words: tuple[str, ...], store: str | None, reason: str, until: str, as_json: bool) -> None:
    """Accept a finding of a run until a day. It is then listed as waived, and fails nothing.

    For a version of a model (fraud@3) the waiver stands with the version, and counts for the run that made it.
    """
    from histhooks import curate

    words, store = common.split_store(words, store)
    if len(words) != 2:
        raise click.UsageError("waive takes a check and a run: histhooks waive leak.prep last --reason ... --until ...")
    from histhooks.history._models import is_version_name

    with common.open_history(store) as history:
        version = history.version(words[1]) if is_version_name(history, words[1]) else None
        meant = history.run(words[1]).id if version is None else version.name
    run_id = curate.waive(words[0], meant, reason=reason, until=until, store=store)
    if as_json:
        told = {"version": version.name, "version_id": version.id} if version is not None else {}
        common.print_json({"run_id": run_id, "check": words[0], "until": until, **told})
        return
    click.echo(f"{words[0]} is waived for {version.name if version is not None else short_id(run_id)} until {until}")
