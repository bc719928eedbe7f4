"""Write ``docs/reference/settings.md`` from ``histhooks._host.settings``: ``python docs/tools/make_settings.py``."""

from __future__ import annotations

from pathlib import Path

from histhooks._host.settings import SETTINGS, Setting

PAGE = Path(__file__).resolve().parents[1] / "reference" / "settings.md"

INTRO = """\
# Settings

Generated from `src/histhooks/_host/settings.py` by `python docs/tools/make_settings.py`; a test holds it equal.

No setting is needed. Arguments of `histhooks.autolog()` apply to one program. These environment variables apply to
every program that is started with them:

```console
$ HISTHOOKS_STORE=~/runs.db HISTHOOKS_GROUP=sweep-7 python train.py
$ HISTHOOKS=off python train.py
```

`histhooks doctor` shows those that are set.
"""
INTERNAL = """\
## Set by histhooks itself

A process passes these to the processes that it starts. Do not change them; they are listed so that you recognise them
in an environment.
"""


def table(settings: list[Setting]) -> list[str]:
    """The rows of some settings.

    Parameters
    ----------
    settings : list of Setting

    Returns
    -------
    list of str
        Lines of Markdown.
    """
    rows = [f"| `{setting.name}` | {setting.default} | {setting.meaning} |" for setting in settings]
    return ["| variable | if it is not set | what it decides |", "|---|---|---|", *rows, ""]


def page() -> str:
    """The text of ``docs/reference/settings.md``.

    Returns
    -------
    str
        Markdown.
    """
    public = table([setting for setting in SETTINGS if not setting.is_internal])
    internal = table([setting for setting in SETTINGS if setting.is_internal])
    return "\n".join([INTRO, *public, INTERNAL, *internal]).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
