"""Calls that people know from other tools, on a run and for the current run, and objects that hold settings."""

from __future__ import annotations

import argparse
import enum
import pathlib
from collections import namedtuple
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import histhooks
from helpers.stores import params, points
from histhooks import History
from histhooks.testing import query


def test_calls_of_mlflow_record_on_a_run_and_in_the_current_run(store_path: Path) -> None:
    histhooks.autolog("sklearn", store=store_path)
    (Path.cwd() / "model.pt").write_bytes(b"weights")
    for said in (None, histhooks):
        with histhooks.start_run("named") as run:
            call: Any = said or run
            call.log_param("lr", 0.1)
            call.log_params({"optimizer": {"name": "sgd"}})
            call.log_metric("loss", 0.5, 3)
            call.log_metric("loss", 0.4, step=4, epoch=1)
            call.log_metrics({"loss": 0.3, "val_loss": 0.2}, 5)
            call.set_tag("team", "red")
            call.set_tags({"attempt": 2})
            call.log_artifact("model.pt", role="model")
    histhooks.flush()
    with History(store_path) as history:
        for record in history.runs():
            assert record.params == {"lr": 0.1, "optimizer.name": "sgd"}
            assert record.tags == {"team": "red", "attempt": "2"}
            assert [file["role"] for file in record.artifacts] == ["model"]
            found = [(p["name"], p["step"], p["epoch"], p["value"]) for p in record.metrics()]
            assert found == [
                ("loss", 3, None, 0.5),
                ("loss", 4, 1, 0.4),
                ("loss", 5, None, 0.3),
                ("val_loss", 5, None, 0.2),
            ]


@pytest.mark.parametrize(
    "call",
    [
        lambda run: run.log_param(["a list"], 1),
        lambda run: run.log_metric(["a list"], 1),
        lambda run: run.log_metric("loss", "a word"),
        lambda run: run.log_metrics(3),
        lambda run: run.set_tag(3, "x"),
        lambda run: run.log(3),
        lambda run: run.log({"loss": 1.0}, step="3"),
    ],
)
def test_a_wrong_use_is_refused_once_and_raises_only_if_failures_do(
    call: Any, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    histhooks.autolog("sklearn", store=store_path)
    with histhooks.start_run() as run:
        with pytest.raises((TypeError, ValueError)):
            call(run)
        monkeypatch.setenv("HISTHOOKS_STRICT", "0")
        call(run)
    histhooks.flush()
    ((title,),) = query(store_path, "SELECT title FROM events WHERE kind = 'refused'")
    assert "was refused" in str(title)


def test_a_call_outside_of_every_run_records_nothing(store_path: Path) -> None:
    histhooks.autolog("sklearn", store=store_path)
    histhooks.log_param("lr", 0.1)
    histhooks.set_tag("team")
    histhooks.log_metric("loss", 1.0)
    histhooks.flush()
    assert not store_path.exists()


class Colour(enum.Enum):
    RED = 1


class Mode(enum.StrEnum):
    FAST = "fast"


@dataclass
class Optimizer:
    name: str = "sgd"
    lr: float = 0.1
    api_key: str = "ZmFrZS1zZWNyZXQtdmFsdWU"


@dataclass(slots=True)
class Settings:
    optimizer: Optimizer = field(default_factory=Optimizer)
    path: pathlib.Path = pathlib.Path("data/train.csv")
    colour: Colour = Colour.RED
    mode: Mode = Mode.FAST
    nothing: None = None
    sizes: tuple[int, ...] = (3, 2)
    layers: list[Any] = field(default_factory=lambda: [Optimizer("adam", 0.2, "")])


Point = namedtuple("Point", "x y")

WHOLE = {
    "optimizer.name": "sgd", "optimizer.lr": 0.1, "path": "data/train.csv", "colour": "Colour.RED", "mode": "fast",
    "nothing": None, "sizes": [3, 2], "layers": [{"name": "adam", "lr": 0.2, "api_key": ""}],
}  # fmt: skip


def as_namespace(settings: Settings) -> argparse.Namespace:
    return argparse.Namespace(**{name: getattr(settings, name) for name in Settings.__slots__})


@pytest.mark.parametrize(
    "make", [Settings, lambda: as_namespace(Settings()), lambda: vars(as_namespace(Settings()))],
    ids=["dataclass", "namespace", "vars"],
)  # fmt: skip
def test_params_are_the_settings_that_a_program_holds(make: Any, store_path: Path) -> None:
    histhooks.autolog("sklearn", store=store_path)
    with histhooks.start_run(params=make()):
        pass
    histhooks.flush()
    found = {key: value for key, (value, _) in params(store_path).items()}
    assert found.pop("optimizer.api_key") == "[masked]"
    assert found == WHOLE


def test_settings_lie_in_each_other_and_may_hold_themselves(store_path: Path) -> None:
    histhooks.autolog("sklearn", store=store_path)
    own = SimpleNamespace(point=Point(1, [2]), inner=argparse.Namespace(depth=3))
    own.itself = own
    with histhooks.start_run(params={"model": own}):
        pass
    histhooks.flush()
    found = {key: value for key, (value, _) in params(store_path).items()}
    assert (found["model.point.x"], found["model.point.y"], found["model.inner.depth"]) == (1, [2], 3)
    assert found["model.itself"] == {"$object": "types.SimpleNamespace"}


def test_a_field_is_read_without_code_of_the_program(store_path: Path) -> None:
    @dataclass
    class Odd:
        lr: float = 0.1

        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(name)

    histhooks.autolog("sklearn", store=store_path)
    with histhooks.start_run(params={"odd": Odd()}):
        pass
    histhooks.flush()
    assert params(store_path) == {"odd.lr": (0.1, "user")}


def test_tags_may_be_words(store_path: Path) -> None:
    histhooks.autolog("sklearn", store=store_path)
    with histhooks.start_run(tags=["baseline", "fast"]) as run:
        run.tag({"slow"})
    histhooks.flush()
    with History(store_path) as history:
        assert history.run().tags == {"baseline": "", "fast": "", "slow": ""}
    assert points(store_path, "loss") == []
