"""The command line. A verb is imported when it is called, so that all of them start fast."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from histhooks._host.store_location import is_strict
from histhooks.errors import HisthooksError

# Verb: its module and its line in the list of verbs, which a test holds to its help. In the order of a first day.
VERBS = {
    "run": ("_run", "Run a program, unchanged, and record each training in it and in every Python child."),
    "runs": ("_runs", "List the latest runs, newest on top."),
    "show": ("_show", "Show one run on one screen."),
    "diff": ("_diff", "Show what changed between two runs, the most important parts first."),
    "reproduce": ("_reproduce", "Show what repeating a run takes; with --exec, run it again and compare every point."),
    "bisect": (
        "_bisect",
        "Find which of the changes between a good run and a bad one makes it bad, by running parts of each.",
    ),
    "check": (
        "_check",
        "Name the risks of runs from their record: leaks, unset seeds, losses that are not finite, overfitting.",
    ),
    "monitor": (
        "_monitor",
        "Judge a model in production: is it inside its training data and its promised score?",
    ),
    "data": ("_data", "Show the data of a run by content, and what its parts share; or compare the data of two runs."),
    "compare": ("_compare", "Show runs side by side: only what differs, with the best value of each metric marked."),
    "metrics": ("_metrics", "Print the points of a run, one a line, of all metrics or the named ones."),
    "plot": ("_plot", "Draw curves of runs, in the terminal or to a file."),
    "ui": ("_ui", "Show the history in a browser, live, until Ctrl-C."),
    "tail": ("_tail", "Follow a run while it trains, until it ends."),
    "search": ("_search", "Search names, params, notes, tags, errors, files, metrics and events for words."),
    "whence": ("_whence", "Find the runs that made or read a file, by its content; or what a hash belongs to."),
    "lineage": (
        "_lineage",
        "Show what led to a run, a file, data or a version of a model, and what came of it.",
    ),
    "models": (
        "_models",
        "List models and what is live; or show all that was done to the versions of one, newest on top.",
    ),
    "promote": ("_promote", "Point an alias of a model to a version."),
    "rollback": (
        "_promote",
        "Point an alias to the version that was live before, if its bytes are there and right.",
    ),
    "demote": ("_promote", "Take an alias away, so that nothing is live under it."),
    "register": ("_promote", "Make a file a version of a model, to which no alias points yet."),
    "approve": ("_promote", "Approve a version of a model, with your name."),
    "reject": ("_promote", "Reject a version of a model: no alias can point to it until somebody approves it."),
    "retire": ("_promote", "Retire a version of a model: no alias points to it any more."),
    "restore": ("_restore", "Write a file or a folder of a run again, from its kept copy, and verify it."),
    "export": (
        "_export",
        "Write runs, and the runs inside them, to a file, or as JSON to stdout. The extension decides the format.",
    ),
    "report": (
        "_report",
        "Write one run as one self-contained page of facts; or the life of a model, with all that was done.",
    ),
    "tag": ("_curate", "Tag a run, with your name and the time."),
    "untag": ("_curate", "Take tags off a run."),
    "note": ("_curate", "Add a note to a run, with your name and the time."),
    "waive": ("_check", "Accept a finding of a run until a day."),
    "rename": ("_curate", "Give a run another name."),
    "delete": ("_curate", "Delete runs, the runs inside them, and content that no other run needs."),
    "prune": ("_curate", "Delete top-level runs that match all given rules, and the runs inside them."),
    "redact": (
        "_curate",
        "Erase personal values permanently: names, hosts, commands, folders, notes, values of tags.",
    ),
    "verify": ("_verify", "Check that the history is as it was written, and kept files too."),
    "evidence": ("_evidence", "Write what is on record of a run or a version as a pack that verifies itself."),
    "keygen": (
        "_sign",
        "Make a key that signs: a private key that only you may read, and beside it the public one",
    ),
    "sign": ("_sign", "Sign the head of the history, a file, a pack of evidence, or a version of a model."),
    "witness": ("_sign", "Sign the head of the history, and keep it outside of the store."),
    "doctor": (
        "_doctor",
        "Check that the installation works: versions, frameworks, where the store is, which spools wait.",
    ),
    "merge": (
        "_merge",
        "Merge stores into one: each session, run and point once, in whatever order and however often they are merged.",
    ),
    "push": ("_push", "Send what a store has and a target lacks."),
    "pull": ("_pull", "Bring what a target has into a file, with its ledger: all of it, or whole runs."),
    "team": ("_team", "Look after the target of a team."),
    "sync": ("_sync", "Merge the spools of sessions that have ended into their store."),
    "key": ("_key", "Show the key of row hashes, or share it with a team."),
    "demo": (
        "_demo",
        "Train real models on data that scikit-learn ships, with each installed framework, and show their history.",
    ),
}

# What the listing is called elsewhere.
_ALIASES = {"ls": "runs", "list": "runs", "log": "runs"}
# What else people type who know other tools, and what does it here.
_PAGES = "`histhooks ui` shows the history in a browser, and `histhooks report RUN -o FILE.html` writes a run as a page"
_JOIN = "`histhooks merge A.db B.db -o NEW.db` makes one store of several, `--into STORE.db` adds them to one"
_ELSEWHERE = {
    **dict.fromkeys(("server", "serve", "web", "dashboard", "board"), _PAGES),
    **dict.fromkeys(("join", "import", "union", "combine"), _JOIN),
    **dict.fromkeys(("rm", "remove", "del"), "`histhooks delete RUN` deletes runs, `histhooks untag RUN KEY` a tag"),
    **dict.fromkeys(("artifact", "artifacts", "download", "get", "checkout"),
                    "`histhooks restore RUN NAME -o PATH` writes a file of a run again"),
    **dict.fromkeys(("info", "describe", "view", "cat", "summary"), "`histhooks show RUN` shows a run"),
    **dict.fromkeys(("status", "config", "version"), "`histhooks doctor` says what is installed, hooked and set"),
    **dict.fromkeys(("init", "login", "start"), "nothing has to be set up: `histhooks run train.py` records"),
    **dict.fromkeys(("registry", "versions", "aliases", "stages"), "`histhooks models` lists models and what is live"),
    **dict.fromkeys(("deploy", "release", "publish", "transition"),
                    "`histhooks promote FILE` points an alias of a model to a version"),
    **dict.fromkeys(("revert", "undo"), "`histhooks rollback MODEL` goes back to the version that was live before"),
    **dict.fromkeys(("history", "experiments", "sweep"), "`histhooks runs` lists runs"),
    **dict.fromkeys(("add", "commit", "save"), "runs are recorded as they happen, by `histhooks run`"),
}  # fmt: skip
_COMPLETE = "_HISTHOOKS_COMPLETE"


class _Verbs(click.Group):
    """A group that knows its verbs by name, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = getattr(import_module(f"histhooks.cli.{VERBS[cmd_name][0]}"), cmd_name)
        assert isinstance(command, click.Command)
        if _COMPLETE in os.environ:
            from histhooks.cli._completing import teach

            teach(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        args = [_ALIASES.get(args[0], args[0]), *args[1:]]
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            if args[0] in _ELSEWHERE:
                ctx.fail(f"no verb is called {args[0]!r}: {_ELSEWHERE[args[0]]}")
            from difflib import get_close_matches

            close = get_close_matches(args[0], VERBS, n=3, cutoff=0.6)
            if not close:
                raise
            ctx.fail(f"no verb is called {args[0]!r}; did you mean {', '.join(close)}?")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="histhooks", prog_name="histhooks")
def cli() -> None:
    """The flight recorder for model training: what was trained, when, with what, and how it went.

    \b
    Example:
      histhooks demo          record real training runs and look at them
      histhooks run train.py  run a program, unchanged, and record it
      histhooks runs          the latest runs of the store here
      histhooks show last     all that is known of the latest
    """


def main() -> None:
    """Run the command line; errors of a person's question are one line and exit code 2."""
    if _COMPLETE in os.environ:
        import_module("histhooks.cli._completing")
    if sys.argv[1:2] != ["run"]:  # whose output is the program's
        _prepare_output()
    try:
        code = cli(standalone_mode=False, complete_var=_COMPLETE)
        if sys.stdout is not None:  # closed when this began
            sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except SystemExit:
        if type(sys.stdout).__name__.endswith("PacifyFlushWrapper"):  # click's own end where nobody reads any more
            _leave_quietly()
        raise
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(130)
    except HisthooksError as error:
        click.echo(f"histhooks: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        _leave_quietly()
    except Exception as error:
        if is_strict():
            raise
        click.echo(
            f"histhooks: internal error: {type(error).__name__}: {error}; with HISTHOOKS_STRICT=1 it shows where",
            err=True,
        )
        sys.exit(2)


def _prepare_output() -> None:
    """Let output be any encoding, a file or nothing at all; what a program reads is cut nowhere."""
    from histhooks._base.text import cut_nothing
    from histhooks._views.table import is_endless

    if sys.stdout is None:  # closed before this began
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, to the end of the process
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None and sys.stdout.errors == "strict":
        reconfigure(errors="replace")  # ASCII and Latin-1 have no arrow
    if is_endless():
        cut_nothing()


def _leave_quietly() -> None:
    """Exit cleanly if the reader of the output has closed it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left in buffers goes there
    sys.exit(0)


if __name__ == "__main__":
    main()
