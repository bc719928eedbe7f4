"""The pages of `histhooks ui` for tests: stores that they show, and a client that has the token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from histhooks.testing import run_program

TOKEN = "a-token-of-the-tests-0123"
BASE = "http://127.0.0.1:6100"

# Texts that a page must show as they are, and never obey.
HOSTILE = (
    '"><img src=x onerror="document.title=1">', "</script><script>document.title=1</script>", "{{7*7}}", "${7*7}",
    "\u202egpj.exe", "a\x00b",
    "'; DROP TABLE runs; --", "=1+1", "../../etc/passwd", "javascript:alert(1)", "W" * 40_000,
)  # fmt: skip

_PROGRAM = """
import math
import histhooks
from pathlib import Path
Path("model.bin").write_bytes(b"weights")
for number in range(6):
    with histhooks.start_run(f"train·Net{number % 2}", params={"lr": 10.0 ** -number, "batch": 32 * (number + 1)},
                             tags={"team": ("red", "blue")[number % 2]}) as run:
        for step in range(300):
            run.log({"loss": math.exp(-step / 90) + number, "val_loss": math.exp(-step / 80) + number / 10 + 0.1},
                    step=step, epoch=step // 30)
        run.log({"odd": float("nan")}, step=0); run.log({"odd": float("inf")}, step=1); run.log({"odd": 2.0}, step=2)
        run.log({"val_acc": number / 10})
        run.log_results({"best": number}); run.note(f"note {number}"); run.log_dataset("train", [[1, 2], [3, number]])
        run.log_artifact("model.bin", role="model")
try:
    with histhooks.start_run("broken", params={"lr": 1}):
        raise ValueError("no such thing as a free lunch")
except ValueError:
    pass
with histhooks.start_run("parent"):
    for number in range(3):
        with histhooks.start_run(f"child {number}", params={"depth": number}) as child:
            child.log({"score": number / 3})
"""


def make(store: Path) -> Path:
    """A store of some runs: finished, failed, nested, with points that are not finite."""
    code, _, error = run_program(_PROGRAM, store)
    assert code == 0, error
    return store


def make_hostile(store: Path) -> Path:
    """A store whose every text is one that attacks."""
    program = f"""
    import histhooks
    for text in {HOSTILE!r}:
        try:
            with histhooks.start_run(text, params={{text: text, "lr": text}}, tags={{text: text}}) as run:
                run.note(text); run.event("milestone", text); run.log({{text: 1.0, "loss": 2.0}})
                run.log_results({{text: text}})
                raise ValueError(text)
        except ValueError:
            pass
    """
    code, _, error = run_program(program, store, HISTHOOKS_STRICT="0")
    assert code == 0, error
    return store


@contextmanager
def client(*stores: Path, **options: Any) -> Iterator[Any]:
    """A client of the pages, without a socket."""
    from starlette.testclient import TestClient

    from histhooks.ui import app

    with TestClient(app(stores, TOKEN, port=6100, **options), base_url=BASE, follow_redirects=False) as made:
        made.get(f"/?token={TOKEN}")
        yield made
