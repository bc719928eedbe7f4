"""The facts of one run, each read once, for all checks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from histhooks.history.data.dataset import dataset_with_id

if TYPE_CHECKING:
    from histhooks.history._records import RunRecord
    from histhooks.history.data.dataset import Dataset
    from histhooks.history.data.rows import Overlap, Transform, Weights

JUDGING = ("valid", "test")
TRAINS = ("fit", "loop", "search", "validate", "block")


class Case:
    """A run as checks ask for it.

    Parameters
    ----------
    run : RunRecord
    against : RunRecord, optional
        A run to compare it with.
    """

    def __init__(self, run: RunRecord, against: RunRecord | None = None) -> None:
        self.run = run
        self.against = None if against is None else Case(against)
        self.status: str = run.status
        self.kind: str = run.kind
        self.framework: str | None = run.row["framework"]
        self.model_class: str = (run.row["model_class"] or "").rpartition(".")[2]

    @cached_property
    def trains(self) -> bool:
        """Whether a model was trained in it."""
        return self.kind in TRAINS and (self.kind != "block" or bool(self.metrics or self.datasets))

    @cached_property
    def is_training(self) -> bool:
        """Whether a single model was trained in it: also a block with training data, which is a loop of its own."""
        return self.kind in ("fit", "loop") or (self.kind == "block" and self.train is not None)

    @cached_property
    def datasets(self) -> list[Dataset]:
        """Its data sets, in order."""
        return self.run.datasets

    def data(self, *roles: str) -> list[Dataset]:
        """Its data of some roles; what was used twice stands once."""
        found = {(data["id"], data["role"]): data for data in self.datasets if data["role"] in roles}
        return list(found.values())

    @cached_property
    def train(self) -> Dataset | None:
        """Its training data, if it has one."""
        found = self.data("train")
        return found[0] if len(found) == 1 else None

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """Summaries of its metrics, without those of the machine."""
        return [row for row in self.run.summaries if row["split"] != "system"]

    @cached_property
    def system(self) -> list[dict[str, Any]]:
        """Summaries of samples of the machine."""
        return [row for row in self.run.summaries if row["split"] == "system"]

    @cached_property
    def params(self) -> dict[str, Any]:
        """Its params."""
        return self.run.params

    @cached_property
    def results(self) -> dict[str, Any]:
        """Its outcomes that are no curve."""
        return self.run.results

    @cached_property
    def events(self) -> list[Any]:
        """What happened in it."""
        return list(self.run.events)

    @cached_property
    def captures(self) -> list[dict[str, Any]]:
        """What came of gathering things."""
        return self.run.captures

    @cached_property
    def overlaps(self) -> list[Overlap]:
        """Rows that its data sets share."""
        return self.run.overlaps

    @cached_property
    def transforms(self) -> list[Transform]:
        """Transformers that its data came out of."""
        return self.run.transforms

    @cached_property
    def weights(self) -> dict[str, Weights]:
        """The latest weights of each point."""
        return {one.point: one for one in self.run.weights}

    @cached_property
    def session(self) -> dict[str, Any]:
        """Its process."""
        return self.run.session

    @cached_property
    def links(self) -> set[str]:
        """How it relates to earlier runs."""
        return {link["kind"] for link in self.run.links}

    @cached_property
    def is_continued(self) -> bool:
        """Whether it began where another training had ended."""
        return bool(self.links & {"resumes", "continues", "fine-tunes"})

    def rows_of(self, dataset_id: str | None) -> int | None:
        """Rows of some data of the store, by its id; None if it is not known."""
        found = dataset_with_id(self.run.history, dataset_id) if dataset_id else None
        return found["n_rows"] if found is not None else None

    def has_event(self, kind: str) -> bool:
        """Whether something of that kind happened."""
        return any(event["kind"] == kind for event in self.events)

    def missed(self, *collectors: str) -> str | None:
        """Why something was not gathered; None if nothing says so."""
        notes = [row["note"] or row["status"] for row in self.captures if row["collector"] in collectors
                 and row["status"] != "ok"]  # fmt: skip
        return notes[0] if notes else None


def features_of(data: Dataset) -> str | None:
    """The digest of all values of the features; None if they were not hashed whole."""
    for part in ("features", "all"):
        found = data.digest(part)
        if found is not None:
            return f"{part}:{found.digest}" if found.is_whole else None
    return None


def classes_of(data: Dataset | None) -> dict[str, int] | None:
    """Rows by class of the target; None if it has none, or nobody counted them."""
    found = target_of(data).get("classes")
    if not isinstance(found, Mapping) or not all(isinstance(n, int) for n in found.values()):
        return None
    return {str(name): int(n) for name, n in found.items()}


def class_sizes(data: Dataset | None) -> list[int] | None:
    """Rows of each class of the target, also of texts, of which nobody knows which they are."""
    counts = classes_of(data)
    if counts is not None:
        return list(counts.values())
    target = target_of(data)
    found = target.get("classes_by_rank")
    is_all = isinstance(found, list) and all(isinstance(n, int) for n in found) and sum(found) == target.get("count")
    return list(found) if isinstance(found, list) and is_all else None


def target_of(data: Dataset | None) -> Mapping[str, Any]:
    """What was counted of the target: mean, std and so on; empty if nothing was."""
    profile = data["profile"] if data is not None else None
    found = (profile.get("y"), _second_tensor(profile.get("X"))) if isinstance(profile, Mapping) else ()
    for target in found:
        values = target.get("values") if isinstance(target, Mapping) else None
        if isinstance(values, Mapping):
            return values
    return {}


def _second_tensor(features: Any) -> Any:
    """That of a ``TensorDataset`` of two, which is the target."""
    tensors = features.get("tensors") if isinstance(features, Mapping) else None
    return tensors[1] if isinstance(tensors, list) and len(tensors) == 2 else None


def has_class_numbers(data: Dataset | None) -> bool:
    """Whether the target of a ``TensorDataset`` has the type that PyTorch asks of classes, whole numbers of 64 bits."""
    schema = data["schema"] if data is not None else None
    second = _second_tensor(schema.get("X")) if isinstance(schema, Mapping) else None
    return isinstance(second, Mapping) and second.get("dtype") == "torch.int64" and classes_of(data) is not None
