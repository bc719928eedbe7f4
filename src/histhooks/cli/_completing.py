"""Shell completion: runs, metrics, projects and the like, from the selected store.

Loaded by completion only. Click asks the type of a parameter
(https://click.palletsprojects.com/en/stable/shell-completion/), so each one that takes a run or a name of the store
gets a type with completion.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, ZshComplete, add_completion_class

from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks.history import History, Model, ModelVersion

_MOST = 50
_OPTIONS = ("project", "framework", "group", "who", "job", "tag", "metric")
_ROLES = {"role": ("train", "valid", "test"), "against": ("train", "valid", "test")}  # of data


class _Zsh(ZshComplete):
    """Completion for zsh, even if the start file has not called compinit, without which there is no compdef."""

    source_template = (
        "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }\n" + ZshComplete.source_template
    )


add_completion_class(_Zsh)


def teach(command: click.Command) -> click.Command:
    """Let the parameters of a verb offer what the store has."""
    for parameter in command.params:
        if parameter.type is not click.STRING and not isinstance(parameter, click.Argument):
            continue
        if isinstance(parameter, click.Argument):
            if parameter.name == "words" and parameter.type is click.UNPROCESSED:
                parameter.type = click.Path()  # the program that `run` runs, and its files
            elif parameter.name == "words":
                parameter.type = _Words(parameter.metavar or "", str(command.name))
        elif parameter.name in (*_OPTIONS, *_ROLES, "model", "alias", "from_alias", "order_by", "status", "kind"):
            parameter.type = _Value(str(parameter.name))
        elif parameter.name in ("store", "output"):
            parameter.type = click.Path()
    return command


class _FromStore(click.types.StringParamType):
    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """What the store of this command line has; nothing where there is none, or it cannot be read."""
        from histhooks.errors import HisthooksError
        from histhooks.history import History

        words, store = common.split_store(tuple(ctx.params.get("words") or ()), ctx.params.get("store"))
        try:
            with History(store) as history:
                return self.offer(history, words, incomplete)
        except HisthooksError:
            return []

    def offer(self, history: History, words: tuple[str, ...], incomplete: str) -> list[CompletionItem]:
        """What fits what was typed so far."""
        raise NotImplementedError


class _Words(_FromStore):
    """Runs, what they have, and files, as the verb's usage says."""

    def __init__(self, metavar: str, verb: str) -> None:
        self._names_of = {"restore": _files, "untag": _tags}.get(verb, _metrics)
        self._has_runs = "RUN" in metavar or " A B" in metavar
        self._has_names = "NAME]" in metavar or verb == "untag"
        self._has_models = any(word in metavar for word in ("MODEL", "NAME@", "NAME[@")) or self._has_runs
        self._has_versions = any(word in metavar for word in ("NAME@", "NAME[@", "[@ALIAS")) or self._has_runs
        self._has_files = "STORE" in metavar or "FILE" in metavar

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = super().shell_complete(ctx, param, incomplete)
        is_path = self._has_files and (not found or "/" in incomplete)
        # The shell's own completion of files; in bash it begins the list anew, so it comes first.
        return [CompletionItem(incomplete, type="file"), *found] if is_path else found

    def offer(self, history: History, words: tuple[str, ...], incomplete: str) -> list[CompletionItem]:
        out: list[CompletionItem] = []
        if self._has_names and words:
            out += self._names_of(history, words[0], incomplete)
        if self._has_runs and not (out and len(words) == 1 and incomplete):
            out += _runs(history, incomplete)
        if self._has_models:
            out += _models(history, words, incomplete, with_versions=self._has_versions)
        return out


class _Value(_FromStore):
    """Values of an option."""

    def __init__(self, name: str) -> None:
        self._name = name

    def offer(self, history: History, words: tuple[str, ...], incomplete: str) -> list[CompletionItem]:
        if self._name == "order_by":
            from histhooks.history.query.names import COLUMNS, Names, written

            names = Names(history)
            sign = "-" if incomplete.startswith("-") else ""
            params = [written("params", name) for name in names.of("params")]
            return _items([sign + name for name in (*names.of("metrics"), *params, *COLUMNS)], incomplete)
        if self._name in ("status", "kind"):
            from histhooks._base.vocabulary import STATUSES
            from histhooks.history.query.where import KINDS

            return _items(STATUSES if self._name == "status" else KINDS, incomplete)
        if self._name == "model":
            return _items([model.name for model in history.models()], incomplete)
        if self._name in ("alias", "from_alias"):
            return _items(["production", *(alias for each in history.models() for alias in each.aliases())], incomplete)
        if self._name in _ROLES:
            return _items(_ROLES[self._name], incomplete)
        from histhooks.history.query.names import Names

        return _items(Names(history).choices(self._name, 1000), incomplete)


def _items(values: Iterable[str], incomplete: str) -> list[CompletionItem]:
    # A word with a space in it would be several to the shell.
    fit = [value for value in values if value.startswith(incomplete) and value.isprintable() and " " not in value]
    return [CompletionItem(value) for value in dict.fromkeys(fit)][:_MOST]


def _metrics(history: History, selector: str, incomplete: str) -> list[CompletionItem]:
    from histhooks.errors import QueryError

    try:
        names = [summary["name"] for summary in history.run(selector).summaries]
    except QueryError:
        return []
    return _items(names, incomplete)


def _files(history: History, selector: str, incomplete: str) -> list[CompletionItem]:
    from histhooks.errors import QueryError

    try:
        return _items([file.name for file in history.run(selector).artifacts], incomplete)
    except QueryError:
        return []


def _tags(history: History, selector: str, incomplete: str) -> list[CompletionItem]:
    from histhooks.errors import QueryError

    try:
        return _items(history.run(selector).tags, incomplete)
    except QueryError:
        return []


def _models(history: History, words: tuple[str, ...], incomplete: str, *, with_versions: bool) -> list[CompletionItem]:
    """Names of models; once one is typed, its aliases and the numbers of its versions."""
    out = []
    for model in history.models():
        if model.name.startswith(incomplete) and " " not in model.name:
            live = ", ".join(f"{alias} {version.label}" for alias, version in _live(model))
            out.append(CompletionItem(model.name, help=f"model, {live or 'not live'}"))
        before = _before_version(model.name, words, incomplete)
        if with_versions and before is not None:
            found = [(alias, version.label) for alias, version in _live(model)]
            found += [(version.label, version.sha256[:12]) for version in reversed(model.versions)]
            out += [CompletionItem(f"{before}{each}", help=told) for each, told in found
                    if f"{before}{each}".startswith(incomplete)]  # fmt: skip
    return out[:_MOST]


def _before_version(name: str, words: tuple[str, ...], incomplete: str) -> str | None:
    """What stands before a version in the word that is typed; None if it is no version of the model.

    Bash takes ``fraud@3`` for three words, since @ is in its COMP_WORDBREAKS.
    """
    if words[-1:] == (name,) and incomplete == "@":
        return "@"
    if words[-2:] == (name, "@"):
        return ""
    return f"{name}@" if incomplete == name or incomplete.startswith(f"{name}@") else None


def _live(model: Model) -> list[tuple[str, ModelVersion]]:
    return [(alias, live.version) for alias, live in model.aliases().items()]


def _runs(history: History, incomplete: str) -> list[CompletionItem]:
    """`last`, then names, then the short ids of the latest; a shell that shows help says what each is."""
    out = [
        CompletionItem(word, help=what)
        for word, what in (("last", "the latest of yours"),)
        if word.startswith(incomplete)
    ]
    from histhooks.history.query.selectors import ids_beginning, names_beginning

    for name, n in names_beginning(history, incomplete):
        if name.startswith(incomplete) and " " not in name and name.isprintable():
            out.append(CompletionItem(name, help=f"{n} run{'' if n == 1 else 's'}"))
    for run_id, name, status in ids_beginning(history, incomplete):
        out.append(CompletionItem(run_id, help=f"{name} {status}"))
    return out
