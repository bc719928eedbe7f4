"""``promote``, ``rollback`` and what else a person does to versions of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from histhooks._views import model_words as words_of
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks.history import ModelVersion
    from histhooks.models import Promotion, Rollback

F = TypeVar("F", bound=Callable[..., Any])
_HASH = 12
_PACKAGES = {
    "sklearn": ("scikit-learn", "numpy"), "xgboost": ("xgboost", "numpy"), "torch": ("torch", "numpy"),
    "lightning": ("lightning", "torch"), "keras": ("keras", "tensorflow", "torch", "jax"),
}  # fmt: skip


def _reason_option(function: F) -> F:
    """The option that says why."""
    return click.option("--reason", help="Why; kept in the history, with your name.")(function)


def _needed(reason: str | None) -> str:
    if not reason or not reason.strip():
        raise click.UsageError('why? add --reason "better recall on new customers"; it stays in the history')
    return reason


@contextmanager
def _refusals(ctx: click.Context) -> Iterator[None]:
    """End with exit code 1 if a rule or a check refuses."""
    from histhooks.errors import Refused

    try:
        yield
    except Refused as error:
        click.echo(f"histhooks: {error}", err=True)
        ctx.exit(1)


@click.command(epilog="Example: histhooks promote model.pkl --model fraud --reason 'better recall' --keep")
@click.argument("words", nargs=-1, metavar="[STORE] FILE|SHA256|RUN|NAME@VERSION")
@common.written_store_option
@click.option("--model", metavar="NAME", help="The model; not needed if the file is a version of one already.")
@click.option(
    "--to", "alias", metavar="ALIAS", default="production", show_default=True, help="The alias to point to it."
)
@click.option("--from", "from_alias", metavar="ALIAS", help="Refuse unless this alias points to it: --from staging.")
@_reason_option
@click.option("--keep/--no-keep", default=None, help="Keep a copy of the file beside the store.")
@click.option(
    "--check/--no-check", default=True, help="Refuse a run whose checks fail; the history says if nobody asked."
)
@common.json_option
@click.pass_context
def promote(ctx: click.Context, /, words: tuple[str, ...], store: str | None, as_json: bool, **options: Any) -> None:
    """Point an alias of a model to a version. A file that is none yet becomes one, with the next number.

    RUN stands for the last model that it wrote, else its last checkpoint. What is live already stays so, and leaves no
    event. Exit code 0: it is live; 1: a check or a rule refuses it; 2: wrong use.
    """
    from histhooks import models

    words, store = common.split_store(words, store)
    if len(words) != 1:
        raise click.UsageError("promote takes one file, run or version: histhooks promote model.pkl --model NAME ...")
    reason = _needed(options["reason"])
    with _refusals(ctx):
        done = models.promote(
            words[0], reason=reason, model=options["model"], to=options["alias"], keep=options["keep"],
            check=options["check"], from_alias=options["from_alias"], store=store,
        )  # fmt: skip
        _tell_promotion(done, as_json=as_json)


@click.command(epilog="Example: histhooks register model.pkl --model fraud --reason 'for the validators'")
@click.argument("words", nargs=-1, metavar="[STORE] FILE|SHA256|RUN")
@common.written_store_option
@click.option("--model", metavar="NAME", help="The model; not needed if the file is a version of one already.")
@_reason_option
@click.option("--keep/--no-keep", default=None, help="Keep a copy of the file beside the store.")
@common.json_option
@click.pass_context
def register(ctx: click.Context, /, words: tuple[str, ...], store: str | None, as_json: bool, **options: Any) -> None:
    """Make a file a version of a model, to which no alias points yet."""
    from histhooks import models

    words, store = common.split_store(words, store)
    if len(words) != 1:
        raise click.UsageError("register takes one file or run: histhooks register model.pkl --model NAME --reason WHY")
    reason = _needed(options["reason"])
    with _refusals(ctx):
        done = models.register(words[0], reason=reason, model=options["model"], keep=options["keep"], store=store)
        _tell_promotion(done, as_json=as_json)


def _tell_promotion(done: Promotion, *, as_json: bool) -> None:
    version = done.version
    if as_json:
        common.print_json({
            **_version_json(version), "alias": done.alias, "before": done.before.label if done.before else None,
            "is_new": done.is_new, "is_moved": done.is_moved, "kept": done.kept, "checks": done.checks,
            "notices": done.notices,
        })  # fmt: skip
        return
    if not done.is_moved and not (done.alias is None and done.is_new):
        kept = "its bytes are kept" if done.kept else "nothing was changed"
        click.echo(f"{version.name} is {done.alias or 'a version'} already; {kept}")
        return
    before = f" (before: {done.before.label})" if done.before is not None else ""
    click.echo(f"{version.name} is {done.alias}{before}" if done.alias else f"{version.name} is registered")
    for line in (*_facts(version), f"checks  {words_of.verdict(done.checks)}"):
        click.echo(f"  {line}")
    for notice in done.notices:
        click.echo(f"  note    {notice}")
    if done.before is not None and done.is_moved:
        click.echo(f"  next    histhooks diff {done.before.name} {version.name}")


def _version_json(version: ModelVersion) -> dict[str, Any]:
    names = ("model", "number", "label", "sha256", "run_id", "path")
    return {**{name: getattr(version, name) for name in names}, "version_id": version.id}


def _facts(version: ModelVersion) -> list[str]:
    file = version.file
    kept = ", kept" if file["kept"] else ""
    place = common.plain(version.path or "–")
    return [
        f"file    {place}, {common.size(file['size_bytes'])}, sha256 {version.sha256[:_HASH]}{kept}",
        f"run     {words_of.run_words(version)}",
    ]


@click.command(epilog="Example: histhooks rollback fraud --reason 'too many alarms' -o /srv/model.pkl")
@click.argument("words", nargs=-1, metavar="[STORE] MODEL")
@common.written_store_option
@click.option("--to", metavar="VERSION", help="A version that was live; by default the one before.")
@click.option("--alias", metavar="ALIAS", default="production", show_default=True, help="The alias that goes back.")
@_reason_option
@click.option("-o", "--output", metavar="FILE", help="Write its file here, over one that is there.")
@click.option("--dry-run", is_flag=True, help="Only look where it would go, and whether the bytes are right.")
@common.json_option
@click.pass_context
def rollback(ctx: click.Context, /, words: tuple[str, ...], store: str | None, as_json: bool, **options: Any) -> None:
    """Point an alias to the version that was live before, if its bytes are there and right. Nothing is deleted.

    A second rollback goes further back; --to goes to any version that was live. Exit code 0: it is live; 1: nothing was
    live before, or the bytes are gone or are not right; 2: no such model or version.
    """
    from histhooks import models

    words, store = common.split_store(words, store)
    if len(words) != 1:
        raise click.UsageError("rollback takes the name of a model: histhooks rollback fraud --reason WHY")
    name, sign, alias = words[0].rpartition("@")
    model, alias = (name, alias) if sign else (words[0], options["alias"])
    reason = "" if options["dry_run"] else _needed(options["reason"])
    with _refusals(ctx):
        done = models.rollback(model, reason=reason, to=options["to"], alias=alias, output=options["output"],
                               dry_run=options["dry_run"], store=store)  # fmt: skip
        _tell_rollback(done, is_dry=options["dry_run"], as_json=as_json)


def _tell_rollback(done: Rollback, *, is_dry: bool, as_json: bool) -> None:
    version, before = done.version, done.before
    if as_json:
        common.print_json({
            **_version_json(version), "alias": done.alias, "before": before.label if before else None,
            "is_moved": done.is_moved, "is_dry_run": is_dry, "place": str(done.place),
            "written": str(done.written) if done.written else None, "command": done.command, "folder": done.folder,
            "environment": done.environment,
        })  # fmt: skip
        return
    if before is not None and before.id == version.id:
        click.echo(f"{version.name} is {done.alias} already; nothing was changed")
    else:
        word = f"would be {done.alias}" if is_dry else f"is {done.alias} again"
        click.echo(f"{version.name} {word}" + (f" (before: {before.label})" if before is not None else ""))
    file = version.file
    where = "the kept copy" if file["kept"] else common.plain(str(done.place))
    click.echo(
        f"  file     {where}, {common.size(file['size_bytes'])}, sha256 {version.sha256[:_HASH]}: the bytes are right"
    )
    if done.written is not None:
        click.echo(f"  written  {done.written}")
    click.echo(f"  run      {words_of.run_words(version)}")
    if done.command:
        folder = f" (in {common.plain(done.folder)})" if done.folder else ""
        click.echo(f"  command  {common.plain(done.command)}{folder}")
    if done.environment:
        packages, run = done.environment["packages"], version.run
        names = _PACKAGES.get(str(run.framework) if run is not None else "", ("numpy",))
        told = [f"{name} {packages[name]}" for name in names if name in packages]
        click.echo(f"  with     {', '.join([str(done.environment['python']), *told])}")
    if done.is_moved and done.written is None:
        click.echo(
            f"  next     histhooks restore {version.model}@{done.alias} -o FILE; what a server has loaded stays loaded"
        )


def _deed(verb: str, said: str, words: tuple[str, ...], store: str | None, reason: str | None, as_json: bool) -> None:
    from histhooks import models

    words, store = common.split_store(words, store)
    if len(words) != 1 or "@" not in words[0]:
        raise click.UsageError(f"{verb} takes a version: histhooks {verb} fraud@3 --reason WHY")
    version = getattr(models, verb)(words[0], reason=_needed(reason), store=store)
    if as_json:
        common.print_json({**_version_json(version), "action": verb})
        return
    click.echo(f"{version.name} is {said}")


@click.command(epilog="Example: histhooks approve fraud@3 --reason 'validated on the audit set'")
@click.argument("words", nargs=-1, metavar="[STORE] NAME@VERSION")
@common.written_store_option
@_reason_option
@common.json_option
def approve(words: tuple[str, ...], store: str | None, reason: str | None, as_json: bool) -> None:
    """Approve a version of a model, with your name. It takes back a rejection or a retirement."""
    _deed("approve", "approved", words, store, reason, as_json)


@click.command(epilog="Example: histhooks reject fraud@4 --reason 'biased on the audit set'")
@click.argument("words", nargs=-1, metavar="[STORE] NAME@VERSION")
@common.written_store_option
@_reason_option
@common.json_option
def reject(words: tuple[str, ...], store: str | None, reason: str | None, as_json: bool) -> None:
    """Reject a version of a model: no alias can point to it until somebody approves it. What is live stays live."""
    _deed("reject", "rejected", words, store, reason, as_json)


@click.command(epilog="Example: histhooks retire fraud@1 --reason 'its data was withdrawn'")
@click.argument("words", nargs=-1, metavar="[STORE] NAME@VERSION")
@common.written_store_option
@_reason_option
@common.json_option
def retire(words: tuple[str, ...], store: str | None, reason: str | None, as_json: bool) -> None:
    """Retire a version of a model: no alias points to it any more. None can until somebody approves it."""
    _deed("retire", "retired, and nothing points to it", words, store, reason, as_json)


@click.command(epilog="Example: histhooks demote fraud --reason 'withdrawn until the data is clean'")
@click.argument("words", nargs=-1, metavar="[STORE] MODEL[@ALIAS]")
@common.written_store_option
@click.option("--alias", metavar="ALIAS", default="production", show_default=True, help="The alias to take away.")
@_reason_option
@common.json_option
def demote(words: tuple[str, ...], store: str | None, alias: str, reason: str | None, as_json: bool) -> None:
    """Take an alias away, so that nothing is live under it. The version stays."""
    from histhooks import models

    words, store = common.split_store(words, store)
    if len(words) != 1:
        raise click.UsageError("demote takes a model: histhooks demote fraud --reason WHY")
    name, sign, word = words[0].rpartition("@")
    model, alias = (name, word) if sign else (words[0], alias)
    version = models.demote(model, reason=_needed(reason), alias=alias, store=store)
    if as_json:
        common.print_json({**_version_json(version), "action": "demote", "alias": alias})
        return
    click.echo(f"nothing of {model} is {alias} now (before: {version.label})")
