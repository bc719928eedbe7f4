"""Build the sdist and the wheel, and use each as a stranger would: ``python docs/tools/check_release.py``.

Both go to ``dist/``. Each is installed into an empty environment, where a program records a run, the verbs read it, and
the demo trains and shows a history. Needs build and twine, and an index of packages for what histhooks needs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"
PROGRAM = """
import histhooks
with histhooks.start_run("first", params={"lr": 0.1}) as run:
    for step in range(3):
        run.log({"loss": 1 / (step + 1)}, step=step)
"""
# What somebody who packages histhooks for a distribution looks for.
IN_SDIST = (
    "LICENSE", "README.md", "CHANGELOG.md", "PKG-INFO", "pyproject.toml", "tox.ini", "constraints.txt", "mkdocs.yml",
    "src/histhooks/_store/schema.sql", "src/histhooks/py.typed", "docs/index.md", "docs/reference/verify_ledger.py",
    "examples/torch_quickstart.py", "tests/conftest.py", "tests/data/store-1.0.db.gz", "benchmarks/README.md",
)  # fmt: skip


def run(*words: object, folder: Path = ROOT, **variables: str) -> str:
    """Run a command, and give back what it prints; leave with its output if it fails."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("HISTHOOKS", "PYTHON"))}
    done = subprocess.run(
        [str(word) for word in words], cwd=folder, env={**outside, **variables}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(str(word) for word in words)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def version() -> str:
    """The version of the package, from the only place where it stands."""
    text = (ROOT / "src" / "histhooks" / "_base" / "version.py").read_text(encoding="utf-8")
    (found,) = re.findall(r'__version__ = "(.+)"', text)
    return str(found)


def build() -> tuple[Path, Path]:
    """Build the sdist, and the wheel from it; check their metadata."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST)
    sdist, wheel = DIST / f"histhooks-{version()}.tar.gz", DIST / f"histhooks-{version()}-py3-none-any.whl"
    assert sorted(DIST.iterdir()) == sorted([sdist, wheel]), sorted(DIST.iterdir())
    print(run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel).strip())
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    missing = [name for name in IN_SDIST if name not in names]
    assert not missing, f"the sdist lacks {', '.join(missing)}"
    return sdist, wheel


def use(package: Path, folder: Path) -> None:
    """Install a package into an empty environment, record a run there, read it, and train the demo."""
    venv.create(folder / "env", with_pip=True)
    binaries = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    python, histhooks = binaries / "python", binaries / "histhooks"
    constraints = ("--constraint", ROOT / "constraints.txt")
    run(python, "-m", "pip", "install", "--quiet", *constraints, package, folder=folder)
    said = run(histhooks, "--version", folder=folder)
    assert version() in said, said
    run(python, "-c", PROGRAM, folder=folder)
    for words, expected in ((["runs"], "first"), (["show", "last"], "finished"), (["verify"], "")):
        said = run(histhooks, *words, folder=folder)
        assert expected in said, said
    run(python, "-m", "pip", "install", "--quiet", *constraints, "scikit-learn>=1.6", folder=folder)
    said = run(histhooks, "demo", "--store", folder / "demo.db", folder=folder)
    assert "finished" in said, said
    print(f"{package.name}: installed, recorded, read, verified, demo trained")


def main() -> None:
    """Build both packages, and use both."""
    sdist, wheel = build()
    for package in (wheel, sdist):
        with tempfile.TemporaryDirectory(prefix="histhooks-release-") as folder:
            use(package, Path(folder))


if __name__ == "__main__":
    main()
