"""`code.dirty`: the code differs from its commit, or is not kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from histhooks.checks._case import Case
from histhooks.checks._types import INFO, WARN, Check, Found, Said, Unknown


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    code = case.run.code
    if code is None:
        yield Unknown("which code ran was not recorded", "see `histhooks doctor`")
        return
    details = code["details"]
    gaps, new = _gaps(details), len(details.get("untracked", {}))
    if gaps:
        yield Found(WARN, f"the code is not kept in full: {', '.join(gaps)}", len(gaps), 0, {"gaps": gaps},
                    "commit before you train")  # fmt: skip
    elif code["commit_hash"] is None and code["repository"] and new:
        says = f"the repository has no commit yet; {new} file{'s' if new > 1 else ''} of it kept whole"
        yield Found(INFO, says, new, 0, {"untracked": new}, "commit before you train")
    elif code["dirty"] and code["commit_hash"]:
        lines = details.get("diff_lines")
        words = [f"a diff of {lines:,} lines"] if lines else []
        words += [f"{new} new file{'s' if new > 1 else ''}"] if new else []
        if words:
            says = f"the code differs from commit {code['commit_hash'][:10]} by {' and '.join(words)}, kept whole"
            yield Found(INFO, says, lines, 0, {"commit": code["commit_hash"], "untracked": new})
    elif code["commit_hash"] is None and not details.get("sources") and not case.run.cells:
        has_entry = bool(code["entry_script"])
        if has_entry:
            yield Found(WARN, "the program is in no git repository, and its text was not kept", 1, 0,
                        {"entry_script": code["entry_script"]})  # fmt: skip
        else:
            yield Unknown("the program has no file and is in no git repository", "train from a file or a notebook")


def _gaps(details: Mapping[str, Any]) -> list[str]:
    """What is missing of the text of the code."""
    cut, left_out = details.get("diff_cut_characters"), details.get("untracked_left_out")
    told = {
        "the diff could not be read": details.get("diff_missing"),
        f"{cut:,} characters of the diff are cut" if cut else "": cut,
        "secrets in the diff are masked": details.get("diff_masked"),
        "the diff was redacted": details.get("patch_redacted"),
        f"{left_out:,} new files are left out" if left_out else "": left_out,
        "some of its own modules were lost": details.get("sources_lost"),
    }
    return [text for text, holds in told.items() if text and holds]


CHECK = Check(
    id="code.dirty",
    title="the code differs from its commit",
    rule="changes since the commit that are kept whole: info; a diff that was cut, masked or lost, or code without git "
    "and without its text: warn",
    source="git, and the texts beside it (docs/guide/curate.md)",
    needs="git, or a program in a file",
    levels=(INFO, WARN),
    why="Code that is nowhere cannot be read, reviewed or run again.",
    advice="commit before you train; `histhooks show RUN --code` prints what differed",
    triggers="a work tree with 60,000 changed lines, of which a part was kept",
    is_silent="a clean work tree; a script outside git whose text is kept",
    limits="code of installed packages; files that are no code",
    judge=_judge,
)
