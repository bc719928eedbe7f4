"""Build the documentation of this version into ``build/site/VERSION``: ``python docs/tools/build_site.py``.

Versions stand side by side. The version selector of the theme reads ``versions.json``, which has the form of mike, and
``index.html`` leads to the latest. Needs MkDocs and Material for MkDocs; the build is strict.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "build" / "site"
LEAD = """<!doctype html>
<meta charset="utf-8">
<title>histhooks</title>
<meta http-equiv="refresh" content="0; url={version}/index.html">
<a href="{version}/index.html">histhooks {version}</a>
"""


def version() -> str:
    """The version of the package, from the only place where it stands."""
    text = (ROOT / "src" / "histhooks" / "_base" / "version.py").read_text(encoding="utf-8")
    (found,) = re.findall(r'__version__ = "(.+)"', text)
    return str(found)


def order(name: str) -> list[int]:
    """The numbers of a version, by which versions are sorted."""
    return [int(number) for number in re.findall(r"\d+", name)]


def main() -> None:
    """Build the pages, and list all versions that stand there."""
    own = version()
    shutil.rmtree(SITE / own, ignore_errors=True)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(SITE / own)]
    # The theme advertises its successor on each build.
    subprocess.run(command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=True)
    built = sorted((path.parent.name for path in SITE.glob("*/index.html")), key=order, reverse=True)
    listed = [{"version": name, "title": name, "aliases": ["latest"] if name == built[0] else []} for name in built]
    (SITE / "versions.json").write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    (SITE / "index.html").write_text(LEAD.format(version=built[0]), encoding="utf-8")
    print(f"{SITE / own / 'index.html'}: the pages of {own}; versions there: {', '.join(built)}")


if __name__ == "__main__":
    main()
