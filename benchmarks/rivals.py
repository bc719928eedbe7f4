"""What a user would pick instead, in one sitting: the same steps of four numbers, logged by each, and what each has on
record of a training that nobody changed for it.

Each rival is installed from the package registry into an environment of its own, with constraints.txt; those are kept
in `--environments` for the next time, and see the packages of this Python below their own. What does not install is
left out, by name.
"""

from __future__ import annotations

import os
import site
import subprocess
import sys
import venv
from pathlib import Path

from harness import median, place, python, table, take_turns
from rival_facts import CONTENDERS, facts

STEPS = 2000
FEWER = {"mlflow": 100, "dvclive": 500}  # of what takes long for a call
PROGRAM = """
import os, time
{before}
def size(): return sum(os.path.getsize(os.path.join(f, n)) for f, _, names in os.walk("out") for n in names)
os.makedirs("out", exist_ok=True)
{make}
for step in range(20): log(step)
began, times = size(), []
begin = time.perf_counter()
for step in range(20, 20 + {steps}):
    a = time.perf_counter_ns()
    log(step)
    times.append(time.perf_counter_ns() - a)
{end}
wall = time.perf_counter() - begin
times.sort()
print(times[len(times) // 2] / 1e3, sum(times) / len(times) / 1e3, times[-1] / 1e6, wall * 1e3, size() / {steps} / 4)
"""
NUMBERS = '{"loss": 1 / (step + 1), "acc": 0.25, "val_loss": 0.75, "val_acc": 0.125}'
# Packages, what comes first, how a run is opened with `log`, how it ends.
RIVALS: dict[str, tuple[list[str], str, str, str]] = {
    "histhooks": (
        [],
        "import histhooks; os.environ['HISTHOOKS_STORE'] = 'out/histhooks.db'",
        f"run = histhooks.start_run('bench')\ndef log(step): run.log({NUMBERS}, step=step)",
        "run.end(); from histhooks._record.engine import engine; engine.finish()",
    ),
    "csv, flushed": (
        [],
        "import csv",
        "file = open('out/log.csv', 'w')\nwriter = csv.writer(file)\n"
        "def log(step): writer.writerow((step, 1 / (step + 1), 0.25, 0.75, 0.125)); file.flush()",
        "file.close()",
    ),
    "tensorboard": (
        ["tensorboard"],
        "from torch.utils.tensorboard import SummaryWriter",
        f"writer = SummaryWriter('out')\ndef log(step):\n    for name, value in {NUMBERS}.items():\n"
        "        writer.add_scalar(name, value, step)",
        "writer.close()",
    ),
    "trackio": (
        ["trackio"],
        "os.environ['TRACKIO_DIR'] = os.path.abspath('out'); import trackio",
        f"trackio.init(project='bench')\ndef log(step): trackio.log({NUMBERS}, step=step)",
        "trackio.finish()",
    ),
    "mlflow": (
        ["mlflow"],
        "import mlflow; mlflow.set_tracking_uri('sqlite:///' + os.path.abspath('out/mlflow.db'))",
        f"mlflow.start_run()\ndef log(step): mlflow.log_metrics({NUMBERS}, step=step)",
        "mlflow.end_run()",
    ),
    "wandb": (
        ["wandb"],
        "os.environ.update(WANDB_MODE='offline', WANDB_DIR='out', WANDB_SILENT='true'); import wandb",
        f"run = wandb.init(project='bench')\ndef log(step): run.log({NUMBERS}, step=step)",
        "run.finish()",
    ),
    "aim": (
        ["aim"],
        "from aim import Run",
        f"run = Run(repo='out', system_tracking_interval=None)\ndef log(step): run.track({NUMBERS}, step=step)",
        "run.close()",
    ),
    "dvclive": (
        ["dvclive"],
        "from dvclive import Live",
        "live = Live('out', save_dvc_exp=False)\n"
        "def log(step):\n    live.step = step\n"
        f"    for name, value in {NUMBERS}.items(): live.log_metric(name, value)\n    live.make_summary()",
        "live.end()",
    ),
}


def rivals(repeats: int, environments: Path) -> None:
    """Time of a call on the training thread, time until all is on disk, bytes a point; then what is on record."""
    contenders = {}
    installed: dict[str, str] = {}
    with place() as folder:
        for name, (packages, before, make, end) in RIVALS.items():
            executable = environment(environments / name, packages) if packages else sys.executable
            if executable is None:
                print(f"{name}: left out, {' '.join(packages)} could not be installed")
                continue
            installed[name] = executable
            code = PROGRAM.format(before=before, make=make, end=end, steps=FEWER.get(name, STEPS))

            def turn(code: str = code, executable: str = executable) -> list[float]:
                with place() as own:
                    cache = str(folder / "bytecode")
                    return python(own, code=code, executable=executable, PYTHONPYCACHEPREFIX=cache).numbers

            contenders[name] = turn
        taken = take_turns(contenders, repeats)
    medians = {name: [median(column) for column in columns] for name, columns in taken.items()}
    ours = medians["histhooks"][1]
    rows = {
        name: (float(FEWER.get(name, STEPS)), *found[:3], found[1] / ours, *found[3:])
        for name, found in medians.items()
    }
    columns = ("steps", "µs p50", "µs mean", "ms max", "x histhooks", "ms to disk", "bytes/point")
    table(
        "steps of four numbers",
        columns,
        rows,
        "bytes: what the files grew by, an empty store with its indexes included",
    )
    _facts({name: installed[name] for name in installed if name != "csv, flushed"})


def _facts(installed: dict[str, str]) -> None:
    found = {}
    for contender in CONTENDERS:
        if contender.name in installed:
            with place() as folder:
                found[contender.name] = facts(folder, contender, installed[contender.name], RIVALS[contender.name][2])
    if "histhooks" in found:
        rows = {fact: [said[fact] for said in found.values()] for fact in found["histhooks"]}
        table("on record by itself", list(found), rows, "of 200 points that were logged by hand, 2 s before SIGKILL")


def environment(folder: Path, packages: list[str]) -> str | None:
    """The Python of an environment with some packages, made if it is not there; None if they cannot be installed."""
    executable = folder / "bin" / "python"
    if (folder / "ready").exists():
        return str(executable)
    print(f"making an environment for {' '.join(packages)} ...", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    constraints = Path(__file__).parent.parent / "constraints.txt"
    command = [str(executable), "-m", "pip", "install", "--quiet", "--constraint", str(constraints), *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    if done.returncode != 0:
        print(done.stderr[-500:])
        return None
    # PyTorch and scikit-learn are those of this Python; what a rival brings itself comes first.
    (packages_of,) = folder.glob("lib/python*/site-packages")
    lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
    (packages_of / "of_this_python.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "ready").touch()
    return str(executable)
