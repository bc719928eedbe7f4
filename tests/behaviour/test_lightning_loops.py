"""Random trainings with Lightning: the record has what the loggers got and what the program saw, and nothing else.

Each example is a small training with calls of ``log`` in many hooks (by the module and by callbacks, in some epochs
only, with all flags), validations of any cadence, accumulation, an early end, exceptions, a second fit. It runs plain
and recorded. ``HISTHOOKS_EXAMPLES`` sets how many there are.
"""

from __future__ import annotations

import csv
import itertools
import logging
import math
import os
import sqlite3
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

import histhooks
from histhooks import recorder

pytest.importorskip("lightning")

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

EXAMPLES = int(os.environ.get("HISTHOOKS_EXAMPLES", "12"))
BY_STEP = ("training_step", "on_train_batch_start", "on_train_batch_end", "on_before_optimizer_step",
           "validation_step", "on_validation_batch_end")  # fmt: skip
BY_EPOCH = ("on_train_start", "on_train_epoch_start", "on_train_epoch_end", "on_validation_start",
            "on_validation_epoch_start", "on_validation_epoch_end")  # fmt: skip
DIRECT = ("lr-SGD", "lr-Adam", "told")
NAMES = ("loss", "acc", "val_loss", "a/b", "x")


# --- programs ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Log:
    """One call of ``self.log``."""

    hook: str
    name: str
    epochs: tuple[int, ...]
    batches: tuple[int, ...]
    flags: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Program:
    """One training."""

    logs: tuple[Log, ...]
    by_callback: tuple[Log, ...]
    trainer: tuple[tuple[str, Any], ...]
    n_train: int
    n_valid: int
    n_loaders: int
    callbacks: tuple[str, ...]
    stop_at: int | None
    raise_at: tuple[str, int] | None
    schedule: str | None
    fits: int
    is_manual: bool
    puts: tuple[int, ...]
    n_optimizers: int = 1
    direct: bool = False
    has_logger: bool = True


@st.composite
def logs(draw: st.DrawFn) -> Log:
    hook = draw(st.sampled_from(BY_STEP * 2 + BY_EPOCH))
    flags: dict[str, Any] = {"logger": draw(st.sampled_from([True, True, True, False]))}
    if draw(st.booleans()):
        flags["prog_bar"] = True
    if hook in BY_STEP and draw(st.booleans()):
        flags["on_step"], flags["on_epoch"] = draw(st.sampled_from([(True, False), (False, True), (True, True)]))
    if draw(st.booleans()):
        flags["reduce_fx"] = draw(st.sampled_from(["mean", "max", "min", "sum"]))
    if "valid" in hook and draw(st.booleans()):
        flags["add_dataloader_idx"] = True
    every = st.just(tuple(range(9)))
    some = st.lists(st.integers(0, 4), max_size=3).map(tuple)
    return Log(hook, draw(st.sampled_from(NAMES)), draw(every | some), draw(every | some), tuple(flags.items()))


@st.composite
def programs(draw: st.DrawFn) -> Program:
    n_train = draw(st.integers(1, 6))
    settings: dict[str, Any] = {
        "max_epochs": draw(st.integers(1, 4)),
        "log_every_n_steps": draw(st.integers(1, 4)),
        "num_sanity_val_steps": draw(st.sampled_from([0, 2])),
    }
    how = draw(st.sampled_from(["each", "each", "second", "within", "batches", "none"]))
    if how == "second":
        settings["check_val_every_n_epoch"] = 2
    elif how == "within":
        settings["val_check_interval"] = draw(st.sampled_from([0.5, 1.0]) if n_train > 1 else st.just(1.0))
    elif how == "batches":
        settings |= {"check_val_every_n_epoch": None, "val_check_interval": draw(st.integers(1, 7))}
    elif how == "none":
        settings["limit_val_batches"] = 0
    other = draw(st.sampled_from([None, None, None, "fast", "steps", "limit", "overfit"]))
    if other == "fast":
        settings["fast_dev_run"] = 2
    elif other == "steps":
        settings["max_steps"] = draw(st.integers(1, 9))
    elif other == "limit":
        settings["limit_train_batches"] = draw(st.integers(1, n_train))
    elif other == "overfit" and how in ("each", "none"):
        settings["overfit_batches"] = 1
    is_manual = draw(st.booleans()) and draw(st.booleans())
    if not is_manual and draw(st.booleans()):
        settings["accumulate_grad_batches"] = draw(st.integers(2, 3))
    kinds = ["early", "monitor_step", "monitor_epoch", "checkpoint", "none"]
    hooks = st.sampled_from([*BY_STEP, *BY_EPOCH, "on_fit_start", "on_train_end", "on_validation_end"])
    maybe = st.booleans() | st.just(False)
    return Program(
        logs=tuple(draw(st.lists(logs(), max_size=6))),
        by_callback=tuple(draw(st.lists(logs(), max_size=2))),
        trainer=tuple(settings.items()),
        n_train=n_train,
        n_valid=draw(st.integers(1, 3)),
        n_loaders=draw(st.sampled_from([1, 1, 2])),
        callbacks=tuple(draw(st.lists(st.sampled_from(kinds), max_size=3, unique=True))),
        stop_at=draw(st.none() | st.integers(0, 8)),
        raise_at=draw(st.none() | st.none() | st.tuples(hooks, st.integers(0, 3))),
        schedule=draw(st.sampled_from([None, "step", "epoch"])),
        fits=2 if draw(maybe) else 1,
        is_manual=is_manual,
        puts=tuple(draw(st.lists(st.integers(0, 9), max_size=2))),
        n_optimizers=2 if is_manual and draw(st.booleans()) else 1,
        direct=draw(maybe),
        has_logger=draw(st.sampled_from([True, True, True, False])),
    )


# --- running them -----------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """What the program itself knows of its training."""

    weights: list[bytes] = field(default_factory=list)
    metrics: list[dict[str, float]] = field(default_factory=list)
    calls: list[tuple[str, int, int, int, dict[str, float]]] = field(default_factory=list)
    epochs: list[tuple[int, int, dict[str, float], dict[str, int]]] = field(default_factory=list)
    validations: list[tuple[int, int, dict[str, float], dict[str, int]]] = field(default_factory=list)
    starts: list[tuple[int, int, dict[str, float]]] = field(default_factory=list)  # of validations
    positions: list[list[str]] = field(default_factory=list)
    rates: dict[int, list[float]] = field(default_factory=dict)
    error: tuple[str, str] | None = None
    rows: list[dict[str, str]] = field(default_factory=list)


class Watch(Callback):
    """Looks on, and logs: the first callback, and it must stay so."""

    def __init__(self, program: Program, seen: Seen) -> None:
        self.program, self.seen = program, seen
        self.marks: dict[str, int] = {}

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.fit_loop.total_batch_idx in self.program.puts:
            trainer.callback_metrics["put"] = torch.tensor(float(module.tick()))
        module.logs("on_train_batch_start", self, self.program.by_callback, batch_idx)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.fit_loop.total_batch_idx == self.program.stop_at:
            trainer.should_stop = True
        module.logs("on_train_batch_end", self, self.program.by_callback, batch_idx)

    def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
        self.seen.rates[trainer.global_step] = [group["lr"] for group in optimizer.param_groups]

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        self.seen.positions.append([type(c).__name__ for c in trainer.callbacks])
        module.logs("on_train_epoch_start", self, self.program.by_callback)

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        # What training logged last under a name that validation logs too is to be seen now, and in no later moment.
        if not trainer.sanity_checking:
            values = {name: float(value) for name, value in trainer._logger_connector._callback_metrics.items()}
            self.seen.starts.append((trainer.current_epoch, max(0, trainer.global_step - 1), values))

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        module.logs("on_train_epoch_end", self, self.program.by_callback)

    def on_validation_epoch_end(self, trainer: Any, module: Any) -> None:
        module.logs("on_validation_epoch_end", self, self.program.by_callback)


class Module(lightning.LightningModule):
    """Logs what its program says, each value another number."""

    def __init__(self, program: Program, watch: Watch) -> None:
        super().__init__()
        self.program = program
        self.automatic_optimization = not program.is_manual
        self.first, self.second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
        object.__setattr__(self, "watch", watch)
        self.count = 0

    def tick(self) -> float:
        self.count += 1
        return self.count / 8

    def logs(self, hook: str, owner: Any = None, logs: tuple[Log, ...] | None = None, batch: int = 0) -> None:
        trainer, program = self.trainer, self.program
        if owner is None and program.raise_at == (hook, trainer.current_epoch) and not trainer.sanity_checking:
            raise ArithmeticError(hook)
        if owner is None:
            assert trainer.callbacks[0] is self.watch
        for log in program.logs if logs is None else logs:
            is_due = trainer.current_epoch in log.epochs and (hook not in BY_STEP or batch in log.batches)
            if log.hook == hook and is_due:
                flags = dict(log.flags)
                (owner or self).log(log.name, self.tick(), batch_size=2, **flags)

    def step(self, batch: Any) -> torch.Tensor:
        loss: torch.Tensor = self.second(torch.tanh(self.first(batch))).square().mean()
        return loss

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.step(batch)
        if self.program.is_manual:
            optimizers = self.optimizers()
            for optimizer in optimizers if isinstance(optimizers, list) else [optimizers]:
                optimizer.zero_grad()
                self.manual_backward(self.step(batch))
                optimizer.step()
        if self.program.direct and self.logger is not None:
            self.logger.log_metrics({"told": self.tick()}, step=self.trainer.fit_loop.total_batch_idx)
        self.logs("training_step", batch=batch_idx)
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.step(batch)
        self.logs("validation_step", batch=batch_idx)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.logs("on_train_batch_end", batch=batch_idx)

    def on_validation_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.logs("on_validation_batch_end", batch=batch_idx)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self.logs("on_train_batch_start", batch=batch_idx)

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        self.logs("on_before_optimizer_step", batch=self.trainer.fit_loop.epoch_loop.batch_idx)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.first.parameters(), 0.1)
        if self.program.n_optimizers == 2:
            return [optimizer, torch.optim.Adam(self.second.parameters(), 0.01)]
        if self.program.schedule is None:
            return optimizer
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
        return [optimizer], [{"scheduler": scheduler, "interval": self.program.schedule}]


def _hook(name: str) -> Any:
    def hook(self: Module) -> None:
        self.logs(name)

    return hook


_HOOKS = (*BY_EPOCH, "on_fit_start", "on_train_end", "on_validation_end")
for _name in _HOOKS:
    setattr(Module, _name, _hook(_name))


def snapshots(seen: Seen, trainer: Any) -> None:
    """Keep what loggers get, and what ``callback_metrics`` holds as each epoch and each validation is over."""
    connector = trainer._logger_connector
    epoch_end, eval_end = connector.update_train_epoch_metrics, connector.log_eval_end_metrics

    kept: list[Any] = []  # alive, so that their identities stay theirs

    def keep(rows: list[Any]) -> None:
        found = dict(connector._callback_metrics)
        kept.append(found)
        values = {name: float(value) for name, value in found.items()}
        identities = {name: id(value) for name, value in found.items()}
        rows.append((trainer.current_epoch, max(0, trainer.global_step - 1), values, identities))

    def after_epoch() -> None:
        epoch_end()
        keep(seen.epochs)

    def after_validation(metrics: Any) -> None:
        eval_end(metrics)
        if not trainer.sanity_checking:
            keep(seen.validations)

    connector.update_train_epoch_metrics, connector.log_eval_end_metrics = after_epoch, after_validation
    log_metrics = connector.log_metrics

    def logged(metrics: dict[str, Any], step: int | None = None) -> None:
        if not trainer.sanity_checking:
            phase = ("valid" if trainer.validating else "train") + ("/batch" if step is not None else "")
            values = {name: float(value) for name, value in metrics.items()}
            seen.calls.append((phase, step or 0, max(0, trainer.global_step - 1), trainer.current_epoch, values))
        log_metrics(metrics, step)

    connector.log_metrics = logged


def train(program: Program, folder: Path) -> list[Seen]:
    """Run a program; give what is known of each of its fits."""
    lightning.seed_everything(1, verbose=False)
    generator = torch.Generator().manual_seed(2)
    rows = torch.randn(2 * program.n_train, 2, generator=generator)
    loader = torch.utils.data.DataLoader(rows, 2)
    valid = [torch.utils.data.DataLoader(rows[: 2 * program.n_valid], 2) for _ in range(program.n_loaders)]
    watch = Watch(program, Seen())
    module = Module(program, watch)
    found = []
    trainer = None
    for number in range(program.fits):
        seen = watch.seen = Seen()
        found.append(seen)
        logger = CSVLogger(folder, name=f"fit{number}")
        callbacks = [watch, *made(program, folder)]
        quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
        quiet["enable_checkpointing"] = "checkpoint" in program.callbacks
        given = {**quiet, **dict(program.trainer)}
        trainer = lightning.Trainer(logger=logger if program.has_logger else False, callbacks=callbacks, **given)
        snapshots(seen, trainer)
        before = list(trainer.callbacks)
        try:
            trainer.fit(module, loader, valid)
        except (ArithmeticError, MisconfigurationException) as error:  # Lightning refuses some of what is logged
            seen.error = (type(error).__name__, str(error))
        assert [id(c) for c in trainer.callbacks] == [id(c) for c in before]
        seen.weights = [p.detach().numpy().tobytes() for p in module.parameters()]
        seen.metrics = [
            {k: float(v) for k, v in found.items()} for found in (trainer.callback_metrics, trainer.logged_metrics)
        ]
        path = Path(folder, f"fit{number}", "version_0", "metrics.csv")
        if path.exists():
            with path.open() as file:
                seen.rows = list(csv.DictReader(file))
    return found


def made(program: Program, folder: Path) -> Iterator[Callback]:
    for kind in program.callbacks:
        if kind == "early":
            yield EarlyStopping("loss", patience=1, strict=False)
        elif kind.startswith("monitor") and program.has_logger:
            yield LearningRateMonitor(kind.partition("_")[2])
        elif kind == "checkpoint":
            yield ModelCheckpoint(folder / "kept", every_n_epochs=1)


# --- holding the record to it -----------------------------------------------------------------------------------------

Point = tuple[int, int, float]


def record_of(store: Path, number: int) -> tuple[dict[str, Any], dict[str, list[Point]]]:
    connection = sqlite3.connect(store)
    connection.row_factory = sqlite3.Row
    try:
        run = dict(
            connection.execute("SELECT * FROM runs ORDER BY started_at, id LIMIT 1 OFFSET ?", [number]).fetchone()
        )
        sql = "SELECT name, step, epoch, value, special FROM metrics WHERE run_id = ? AND split IS NOT 'system'"
        series: dict[str, list[Point]] = {}
        for row in connection.execute(f"{sql} ORDER BY name, n", [run["id"]]):
            value = float(row["special"]) if row["special"] else row["value"]
            series.setdefault(row["name"], []).append((row["step"], row["epoch"], value))
        return run, series
    finally:
        connection.close()


def same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def expected_of(seen: Seen) -> dict[tuple[str, str], list[Point]]:
    """By phase and name: the points that loggers got."""
    out: dict[tuple[str, str], list[Point]] = {}
    for phase, step, at, epoch, values in seen.calls:
        kind = phase.partition("/")[0]
        for name, value in values.items():
            where = step if phase == "valid/batch" else at
            out.setdefault((kind, name), []).append((where, epoch, value))
    return out


def split_points(points: list[Point], wanted: list[Point]) -> tuple[list[Point], list[Point]]:
    """The points that are wanted and missing, and those that are there and not wanted, both in order."""
    missing, rest = [], list(points)
    position = 0
    for point in wanted:
        hit = next(
            (n for n in range(position, len(rest)) if rest[n][:2] == point[:2] and same(rest[n][2], point[2])), None
        )
        if hit is None:
            missing.append(point)
        else:
            del rest[hit]
            position = hit
    return missing, rest


def hold(program: Program, seen: Seen, run: dict[str, Any], series: dict[str, list[Point]]) -> None:
    """Raise AssertionError where the record of a fit is another one than the program's own."""
    series = dict(series)
    rates = {name: series.pop(name) for name in list(series) if name == "lr" or name.startswith("lr/")}
    for points in rates.values():
        for step, _, value in points:
            known = seen.rates.get(step, [value]) if program.n_optimizers == 1 else [0.1, 0.01]
            assert value in known, (step, value, seen.rates)
            assert len([p for p in points if p[0] == step]) == 1, points
    wanted = expected_of(seen)
    extras: dict[tuple[str, str], list[Point]] = {}
    names = {name for _, name in wanted} | {n for row in seen.epochs + seen.validations for n in row[2]}
    used = set()
    for name in sorted(names):
        for phase in ("train", "valid"):
            found = [s for s in (name, f"{name}/{phase}") if s in series]
            both = [s for s in (name, f"{name}/train", f"{name}/valid") if s in series]
            points = wanted.get((phase, name), [])
            candidates = found if len(both) > 1 else both
            for candidate in candidates or [name]:
                missing, rest = split_points(series.get(candidate, []), points)
                if not missing and (points or candidate not in used):
                    break
            if points:
                assert not missing, f"{phase} {name}: {missing} of {points} are not in {series}"
                used.add(candidate)
                extras[phase, candidate] = rest
    # What no logger got: each is what the program saw as an epoch or a validation was over.
    for name, points in series.items():
        if name in used:
            over = [rest for (_, candidate), rest in extras.items() if candidate == name]
            assert len(over) == 1, f"{name} has points of two phases"
            points = over[0]
        bare = name.removesuffix("/train").removesuffix("/valid")
        for step, epoch, value in points:
            moments = [(e, s, v) for e, s, v, _ in seen.epochs + seen.validations] + seen.starts
            saw = [v.get(bare, math.nan) for e, s, v in moments if (e, s) == (epoch, step)]
            is_put = bare in ("put", *DIRECT)
            assert is_put or any(same(value, one) for one in saw), (
                f"{name}: ({step}, {epoch}, {value}) comes from nowhere"
            )
    if seen.error is None:
        assert run["status"] == "finished"
        assert run["epochs_done"] == (len(seen.epochs) or None), (run["epochs_done"], len(seen.epochs))
    else:
        assert (run["status"], run["error_type"], run["error_message"]) == ("failed", *seen.error)


def hold_epochs(program: Program, seen: Seen, series: dict[str, list[Point]]) -> None:
    """A name has points in epochs in which it was logged, and in no other."""
    before: dict[str, int] = {}
    marks = sorted(
        [(e, s, 1, v, i) for e, s, v, i in seen.epochs] + [(e, s, 0, v, i) for e, s, v, i in seen.validations],
        key=lambda m: m[:3],
    )
    changed: dict[str, set[int]] = {}
    for epoch, _, _, _, identities in marks:
        for name, identity in identities.items():
            if before.get(name) != identity:
                changed.setdefault(name, set()).add(epoch)
        before = identities
    over = {epoch for epoch, *_ in seen.epochs}  # in one that fails, no epoch's end comes
    for name, changes in changed.items():
        epochs = changes & over
        there = {e for s in (name, f"{name}/train", f"{name}/valid") for _, e, _ in series.get(s, [])}
        assert epochs <= there, f"{name} was logged in epochs {sorted(epochs)}, its points are in {sorted(there)}"


def hold_direct(seen: Seen, series: dict[str, list[Point]]) -> None:
    """What callbacks and the program told the logger themselves is there too, at the step that they said."""
    for name in DIRECT if seen.error is None else ():
        wanted = [(int(row["step"]), float(row[name])) for row in seen.rows if row.get(name)]
        there = [(step, value) for step, _, value in series.get(name, [])]
        assert set(wanted) <= set(there), (name, wanted, there)
        if name == "told":
            assert wanted == there


def hold_csv(seen: Seen) -> None:
    """What the logger kept is what its file has."""
    aside = ("epoch", "step", *DIRECT)  # LearningRateMonitor tells loggers itself
    rows = [{k: float(v) for k, v in row.items() if v and k not in aside} for row in seen.rows]
    kept = [values for *_, values in seen.calls]
    if seen.error is None and rows:
        assert [row for row in rows if row] == [row for row in kept if row]


@pytest.fixture(scope="module", autouse=True)
def quiet() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)


_numbers = itertools.count()


def check(program: Program, folder: Path) -> None:
    """Run a program plain and recorded, and compare."""
    place = folder / f"example{next(_numbers)}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = train(program, place / "plain")
        store = folder / "histhooks.db"
        histhooks.autolog("lightning", store=store)
        try:
            recorded = train(program, place / "recorded")
            assert recorder.flush()
        finally:
            histhooks.disable()
    assert [vars(s) | {"epochs": 0, "validations": 0, "starts": 0} for s in plain] == [
        vars(s) | {"epochs": 0, "validations": 0, "starts": 0} for s in recorded
    ]
    connection = sqlite3.connect(store)
    ((count,),) = connection.execute("SELECT count(*) FROM runs").fetchall()
    connection.close()
    for number, seen in enumerate(recorded):
        run, series = record_of(store, count - len(recorded) + number)
        hold_csv(seen)
        hold_direct(seen, series)
        hold(program, seen, run, series)
        hold_epochs(program, seen, series)


@given(program=programs())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    # Shrinking trains for minutes: HISTHOOKS_SHRINK=1 asks for it.
    phases=[Phase.explicit, Phase.reuse, Phase.generate, *([Phase.shrink] if "HISTHOOKS_SHRINK" in os.environ else [])],
    report_multiple_bugs=False,
    derandomize="HISTHOOKS_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_a_training_is_recorded_as_its_loggers_saw_it(tmp_path: Path, program: Program) -> None:
    event(f"{len(program.logs)} logs")
    check(program, tmp_path)
