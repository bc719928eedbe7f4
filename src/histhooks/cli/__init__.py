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
    "compare": ("_compare", "Show runs side by side: only what differs, with the best value of each metric marked."),
    "metrics": ("_metrics", "Print the points of a run, one a line, of all metrics or the named ones."),
    "plot": ("_plot", "Draw curves of runs, in the terminal or to a file."),
    "tail": ("_tail", "Follow a run while it trains, until it ends."),
    "search": ("_search", "Search names, params, notes, tags, errors, files, metrics and events for words."),
    "whence": ("_whence", "Find the run that made a file, or read it, by the file's content."),
    "export": ("_export", "Write runs, and the runs inside them, to a file. Its extension decides the format."),
    "report": ("_report", "Write one run as one self-contained page of facts."),
    "tag": ("_curate", "Tag a run, with your name and the time."),
    "note": ("_curate", "Add a note to a run, with your name and the time."),
    "rename": ("_curate", "Give a run another name."),
    "delete": ("_curate", "Delete runs, the runs inside them, and content that no other run needs."),
    "prune": ("_curate", "Delete outer runs that match all given rules, and the runs inside them."),
    "redact": (
        "_curate",
        "Erase personal values permanently: names, hosts, commands, folders, notes, values of tags.",
    ),
    "verify": ("_verify", "Check that the history is as it was written."),
    "doctor": ("_doctor", "Check that the installation works: versions, frameworks, where the store is, what waits."),
    "sync": ("_sync", "Merge the spools of sessions that have ended into their store."),
    "demo": (
        "_demo",
        "Train real models on data that scikit-learn ships, with each installed framework, and show their history.",
    ),
}

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
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from difflib import get_close_matches

            close = get_close_matches(args[0], VERBS, n=3, cutoff=0.5)
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
