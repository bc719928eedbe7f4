"""The command line. Each verb imports what it needs, so that all of them start fast."""

from __future__ import annotations

import sys

import click

from histhooks._location import is_strict
from histhooks.cli._care import doctor, verify
from histhooks.cli._demo import demo
from histhooks.cli._read import metrics, runs, show
from histhooks.cli._run import run
from histhooks.cli._sync import sync
from histhooks.errors import HisthooksError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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


for command in (run, runs, show, metrics, doctor, verify, sync, demo):
    cli.add_command(command)


def main() -> None:
    """Run the command line; errors of a person's question are one line and exit code 2."""
    try:
        code = cli(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(130)
    except HisthooksError as error:
        click.echo(f"histhooks: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()  # who read our output has left
        sys.exit(0)
    except Exception as error:
        if is_strict():
            raise
        click.echo(
            f"histhooks: a failure of ours: {type(error).__name__}: {error}; with HISTHOOKS_STRICT=1 it shows where",
            err=True,
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
