"""What mkdocs.yml cannot say: the version, and pages that stand outside of `docs/`, where people look for them."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
# Files of the repository, and the page that each is.
ELSEWHERE = {
    "CHANGELOG.md": "develop/changes.md",
    "benchmarks/README.md": "develop/benchmarks.md",
    "README.md": "index.md",
}
LINK = re.compile(r"(?<=\]\()([^)\s#:]+\.md)(#[^)\s]*)?(?=\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Show the version of the package on every page, and load the worker of the search from the site itself."""
    text = (ROOT / "src" / "histhooks" / "_base" / "version.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'__version__ = "(.+)"', text)
    config.copyright = f"histhooks {version} · Apache-2.0"
    # The plugin `offline` takes a script of this name in place of one on another host.
    config.extra["polyfills"] = ["assets/iframe-worker.js"]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand outside of ``docs/``."""
    from mkdocs.structure.files import File

    for source, page in ELSEWHERE.items():
        if files.get_file_from_path(page) is None:
            files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links of the repository into links of the site."""
    uri = page.file.src_uri
    came_from = next((source for source, target in ELSEWHERE.items() if target == uri and target != "index.md"), None)
    here = posixpath.dirname(came_from or f"docs/{uri}")

    def lead(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(here, link[1]))
        target = ELSEWHERE.get(target, target.removeprefix("docs/"))
        return posixpath.relpath(target, posixpath.dirname(uri) or ".") + (link[2] or "")

    return LINK.sub(lead, markdown)
