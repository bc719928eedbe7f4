"""Write what a run needs into a folder: its code, its data, a list of packages, a script that starts it.

=====================  =================================================================================================
``code/``              the code as it ran, with the data files that lay inside it
``requirements.txt``   its packages, for pip
``data.sha256``        the files that it read with their hashes, for ``sha256sum --check``
``replay.json``        where its random generators stood
``run.sh``             sets the variables and starts the program, recorded, with these generators
=====================  =================================================================================================
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from histhooks._base.secrets import MASK
from histhooks.errors import ReproduceError
from histhooks.reproduce._code import write_code
from histhooks.reproduce._command import secret_variable
from histhooks.reproduce._generators import replay_of
from histhooks.reproduce._needs import CHANGED

if TYPE_CHECKING:
    from histhooks.reproduce._plan import Plan

_CODE = "\0code"  # stands for the folder of the code until a script is written
_LINKED = 64 << 20  # bytes: larger files are linked, not copied


def restore(plan: Plan, folder: str | os.PathLike[str]) -> Path:
    """Write the code of a run as it ran, and what it needs, into a new folder.

    Parameters
    ----------
    plan : Plan
        Of :func:`plan`.
    folder : str or path
        Must be empty or not there.

    Returns
    -------
    Path
        The folder that the program is to be run in.

    Raises
    ------
    ReproduceError
        If the folder is not empty, or the code cannot be written as it was.

    Examples
    --------
    >>> from histhooks import reproduce
    >>> folder = reproduce.restore(reproduce.plan(run), "again")
    >>> sorted(path.name for path in folder.parent.glob("*.*"))
    ['data.sha256', 'replay.json', 'requirements.txt', 'run.sh']
    """
    target = Path(os.path.abspath(folder))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ReproduceError(f"{target} is not empty; name a new folder")
    blocked = [each.text for each in plan.blockers if each.what == "code"]
    if blocked:
        raise ReproduceError(f"its code cannot be written as it was: {'; '.join(blocked)}")
    target.mkdir(parents=True, exist_ok=True)
    code = target / "code"
    write_code(plan.code, code)
    _place_files(plan, code)
    inside = code / plan.folder
    inside.mkdir(parents=True, exist_ok=True)
    (target / "requirements.txt").write_text(plan.run.requirements(), encoding="utf-8")
    (target / "data.sha256").write_text(_hashes(plan, code), encoding="utf-8")
    (target / "replay.json").write_text(
        json.dumps(replay_of(plan.run, plan.code.root, str(code), str(inside))), encoding="ascii"
    )
    script = target / "run.sh"
    script.write_text(_script(plan), encoding="utf-8")
    script.chmod(0o755)
    return inside


def _place_files(plan: Plan, code: Path) -> None:
    """Put the files that lay inside the code, and are no part of it, where the program looks for them."""
    for file in plan.files:
        inside = _inside(plan, file.path)
        # What has changed is taken as it is now: a blocker says so, and so will the comparison.
        source = file.path if file.state == CHANGED else file.found
        if inside is None or source is None:
            continue
        target = code / inside
        if inside in plan.code.texts or (target.exists() and file.sha256 is None):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        if (file.size_bytes or 0) > _LINKED:
            target.symlink_to(source)
        else:
            shutil.copy2(source, target)


def _inside(plan: Plan, path: str) -> str | None:
    """Where a file that lay in the project, or in the folder that the program ran in, lies in the copy."""
    cwd = plan.run.session["cwd"]
    for folder, below in ((plan.code.root, "."), (cwd, plan.folder)):
        if folder and path.startswith(os.path.join(folder, "")):
            return os.path.normpath(os.path.join(below, os.path.relpath(path, folder)))
    return None


def words_of(plan: Plan, code: str) -> list[str]:
    """The words after the interpreter, where a program that was named by its whole path is that of the copy."""
    assert plan.command is not None
    words = plan.command.words
    root = plan.code.root
    if plan.command.form == "script" and root and os.path.isabs(plan.command.program):
        inside = os.path.relpath(plan.command.program, root)
        if not inside.startswith(".."):
            words[len(plan.command.options)] = os.path.join(code, inside)
    return words


def import_paths(plan: Plan, code: str, present: str) -> list[str]:
    """What PYTHONPATH has to name, so that the program's own modules are those of the copy.

    Parameters
    ----------
    plan : Plan
    code : str
        The folder of the copy.
    present : str
        PYTHONPATH as it is set now.
    """
    paths = [os.path.normpath(os.path.join(code, each)) for each in plan.code.import_roots]
    for path in filter(None, present.split(os.pathsep)):
        inside = _below(plan.code.root, os.path.abspath(path))
        paths.append(os.path.abspath(path) if inside is None else os.path.normpath(os.path.join(code, inside)))
    return list(dict.fromkeys(paths))


def _below(root: str, path: str) -> str | None:
    """A path from the root of the code; None if it lies elsewhere."""
    if not root:
        return None
    for top, place in ((root, path), (os.path.realpath(root), os.path.realpath(path))):
        inside = os.path.relpath(place, top)
        if inside != ".." and not inside.startswith(os.path.join("..", "")):
            return inside
    return None


def _hashes(plan: Plan, code: Path) -> str:
    lines = []
    for file in plan.files:
        if file.sha256 is not None:
            inside = _inside(plan, file.path)
            path = file.path if inside is None else os.path.join("code", inside)
            lines.append(f"{file.sha256}  {path}\n")
    return "".join(lines)


def _script(plan: Plan) -> str:
    assert plan.command is not None
    words = [_quoted(plan, word) for word in words_of(plan, _CODE)]
    lines = [
        "#!/bin/sh",
        f"# Repeats run {plan.run.id} ({plan.run.name}): histhooks reproduce {plan.run.id}",
        'here=$(cd "$(dirname "$0")" && pwd)',
        f'cd "$here/code/"{shlex.quote(plan.folder)} || exit 1',
    ]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in environment_of(plan).items()]
    roots = ":".join('"$here/code"' + shlex.quote(f"/{each}") for each in plan.code.import_roots)
    if roots:
        lines.append(f'export PYTHONPATH={roots}"${{PYTHONPATH:+:$PYTHONPATH}}"')
    lines += [
        'plan=$(mktemp) && cp "$here/replay.json" "$plan" || exit 1',
        'export HISTHOOKS_REPLAY="$plan"',
        'python="${PYTHON:-python}"',
    ]
    start = '"$python"' if not plan.is_supervised else '"$python" -m histhooks run -- "$python"'
    return "\n".join([*lines, f"exec {start} {' '.join(words)}", ""])


def _quoted(plan: Plan, word: str) -> str:
    """A word for the shell, in which secrets are variables that the user has to set."""
    assert plan.command is not None
    if word.startswith(_CODE):
        return '"$here/code"' + shlex.quote(word.removeprefix(_CODE))
    if MASK not in word:
        return shlex.quote(word)
    index = [each for each in plan.command.arguments if MASK in each].index(word)
    name = secret_variable(plan.command.masked[index])
    return '"' + word.replace(MASK, f"${{{name}:?set it to the secret that was not kept}}") + '"'


def environment_of(plan: Plan) -> dict[str, str]:
    """The variables that the program had."""
    out = {name: value for name, value in plan.variables.items() if MASK not in value}
    if plan.hash_seed is not None:
        # A seed that `histhooks run` chose is chosen again, so that it is recorded as such.
        out["HISTHOOKS_HASHSEED" if plan.is_hash_seed_chosen else "PYTHONHASHSEED"] = plan.hash_seed
    return out
