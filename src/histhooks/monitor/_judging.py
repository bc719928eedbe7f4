"""Judge the windows of a model one after the other, and find since when it is outside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from histhooks._base.clock import iso
from histhooks._base.text import plain
from histhooks._store import model_rows
from histhooks.errors import QueryError
from histhooks.history._models import model_of
from histhooks.monitor._around import event_near
from histhooks.monitor._baseline import Baseline
from histhooks.monitor._columns import LEAST_ROWS, judged
from histhooks.monitor._gathered import Gathered, quantile_us
from histhooks.monitor._scores import LEAST_LABELS, Promise, promise_of, scored
from histhooks.monitor._types import CANNOT_TELL, INSIDE, OUTSIDE, TOO_FEW, WATCH, Change, Report, Signal, Window

if TYPE_CHECKING:
    from histhooks._store.model_rows import Ask, Trained
    from histhooks.history._reader import Reader

_LAST = 3  # windows of which two must show the same
_CLASSES = "classes"


class Versions:
    """What windows of each version are judged by; looked up once.

    Parameters
    ----------
    history : History
    model : str

    Raises
    ------
    QueryError
        If there is no such model.
    """

    def __init__(self, history: Reader, model: str) -> None:
        self.model = model
        self.ask: Ask = history.sql
        self._known = model_of(history, model)
        self._trained: dict[str | None, Trained] = {}
        self._promises: dict[str | None, list[Promise]] = {}

    def number(self, version_id: str | None) -> str:
        """The number of a version as it is shown."""
        found = self._known.by_id(version_id)
        return "" if found is None else found.label

    def run_id(self, version_id: str | None) -> str | None:
        """The run that made a version."""
        found = self._known.by_id(version_id)
        return None if found is None else found.run_id

    def trained(self, version_id: str | None) -> Trained:
        """The training data of a version."""
        if version_id not in self._trained:
            self._trained[version_id] = model_rows.trained_on(self.ask, self.run_id(version_id))
        return self._trained[version_id]

    def promises(self, version_id: str | None) -> list[Promise]:
        """The last test scores of a version, else those of its validation."""
        if version_id not in self._promises:
            self._promises[version_id] = promises_of(self.ask, self.run_id(version_id), self.trained(version_id))
        return self._promises[version_id]


def promises_of(ask: Ask, run_id: str | None, trained: Trained) -> list[Promise]:
    """The scores that a run promised, the test before the validation, accuracy first."""
    if run_id is None:
        return []
    rows = ask(
        "SELECT metric, split, last FROM metric_summaries WHERE run_id = ? AND split IN ('test', 'valid') "
        "AND last IS NOT NULL ORDER BY split = 'test' DESC",
        run_id,
    )
    sizes = {
        row["role"]: row["n_rows"]
        for row in ask(
            "SELECT x.role, d.n_rows FROM run_datasets AS x JOIN datasets AS d ON d.id = x.dataset_id "
            "WHERE x.run_id = ? ORDER BY x.ordinal",
            run_id,
        )
    }
    target = ((trained.profile or {}).get("y") or {}).get("values") or {}
    is_classifier = any(key.startswith(_CLASSES) for key in target) or bool(
        ask("SELECT 1 FROM results WHERE run_id = ? AND key = 'classes' LIMIT 1", run_id)
    )
    splits = {row["split"] for row in rows}
    split = "test" if "test" in splits else "valid"
    found = [
        promise_of(row["metric"], row["split"], row["last"], sizes.get(row["split"]), is_classifier=is_classifier)
        for row in rows
        if row["split"] == split
    ]
    order = ("accuracy", "auc", "log_loss", "r2", "rmse", "squared_error", "absolute_error")
    return sorted((one for one in found if one is not None), key=lambda one: order.index(one.metric))


def report(
    spans: Sequence[Gathered], versions: Versions, *, window_s: float, baseline: Baseline | None = None
) -> Report:
    """Judge spans of time, the oldest first.

    Parameters
    ----------
    spans : sequence of Gathered
    versions : Versions
    window_s : float, seconds
    baseline : Baseline, optional
        What a person accepted, instead of the training alone.
    """
    model = versions.model
    windows: list[Window] = []
    for span in spans:
        windows.append(_judged(span, versions, baseline, _before(windows, span)))
    against = "train" if baseline is None else "baseline"
    known = [one for one in windows if one.state not in (TOO_FEW, CANNOT_TELL)]
    notes = _notes(windows, versions)
    if not known:
        return Report(model, CANNOT_TELL, _why_not(windows, versions), tuple(windows), against, None, notes)
    last = known[-1]
    change = _change(versions.ask, model, known, window_s) if last.state == OUTSIDE else None
    return Report(model, last.state, _why(last), tuple(windows), against, change, notes)


def _before(windows: Sequence[Window], span: Gathered) -> list[Window]:
    """The two windows before, of the same version, that can be judged."""
    same = [one for one in windows if one.version_id == span.version_id and one.source == span.source]
    return [one for one in same if one.state not in (TOO_FEW, CANNOT_TELL)][-(_LAST - 1) :]


def _judged(span: Gathered, versions: Versions, baseline: Baseline | None, before: Sequence[Window]) -> Window:
    trained = versions.trained(span.version_id)
    limits: Mapping[int, float] = {} if baseline is None else baseline.limits
    signals, indices = judged(trained.columns, span.columns, limits)
    scores = scored(span.sums, span.histograms, versions.promises(span.version_id))
    state = _state(span, trained, signals, before, has_columns=bool(indices) or bool(signals))
    if any(one.state == "broken" for one in scores):
        state = OUTSIDE
    elif state in (TOO_FEW, CANNOT_TELL) and any(one.state == "kept" for one in scores):
        state = INSIDE
    latency = {name: found for name, share in (("p50", 0.5), ("p99", 0.99))
               if (found := quantile_us(span.latency, share)) is not None}  # fmt: skip
    return Window(
        iso(int(span.begins * 1e6)), iso(int(span.ends * 1e6)), versions.number(span.version_id), span.version_id,
        span.source, span.n_calls, span.n_rows, span.n_errors, len(span.sessions), latency, state, tuple(signals),
        {name: round(value, 6) for name, value in indices.items()}, scores, span.outputs,
    )  # fmt: skip


def _state(
    span: Gathered, trained: Trained, signals: Sequence[Signal], before: Sequence[Window], *, has_columns: bool
) -> str:
    if span.n_rows < LEAST_ROWS:
        return TOO_FEW
    if any(one.level == "act" for one in signals):
        return OUTSIDE
    if not has_columns and not _were_counted(span, trained):
        return CANNOT_TELL
    now = {one.key for one in signals}
    earlier = [{one.key for one in window.signals} for window in before]
    keys = now.union(*earlier)
    if any((key in now) + sum(key in one for one in earlier) >= 2 for key in keys):
        return OUTSIDE
    return WATCH if now else INSIDE


def _were_counted(span: Gathered, trained: Trained) -> bool:
    """Whether there is anything to judge by: a column of which both sides have counts."""
    return any(one["position"] in span.columns and set(one["facts"]) & {"edges", "categories"}
               for one in trained.columns)  # fmt: skip


# --- in words ---------------------------------------------------------------------------------------------------------


def said(signal: Signal) -> str:
    """One signal in words, with its evidence."""
    name = plain(repr(signal.column))
    if signal.kind == "drift":
        return f"column {name} drifted: PSI {signal.psi:.2f}, chi-square {signal.chi2:.0f} over {signal.critical:.0f}"
    share = f"{100 * (signal.share or 0.0):.1f} %"
    if signal.kind == "missing":
        return f"column {name} is missing in {share} of rows, {100 * (signal.expected or 0.0):.1f} % in training"
    if signal.kind == "outside":
        return f"column {name} is out of the training range in {share} of rows"
    if signal.kind == "unseen":
        return f"column {name} has values in {share} of rows that the training never saw"
    return f"column {name} is not in the data of {share} of rows"


def _why(window: Window) -> str:
    broken = next((one for one in window.scores if one.state == "broken"), None)
    if broken is not None:
        return f"{broken.metric} {broken.value:.3g} on {broken.n:,} labels, promised {broken.promise:.3g}" + (
            f" on {broken.promise_n:,}" if broken.promise_n else ""
        )
    if window.worst is not None:
        return said(window.worst)
    if window.state == OUTSIDE:
        return "two of the last three windows show the same"
    kept = next((one for one in window.scores if one.state == "kept"), None)
    columns = f"{len(window.psi)} columns as in training" if window.psi else "no column is judged"
    return columns + (f"; {kept.metric} {kept.value:.3g}, promised {kept.promise:.3g}" if kept is not None else "")


def _why_not(windows: Sequence[Window], versions: Versions) -> str:
    if not windows:
        return "no window is recorded"
    if all(one.state == TOO_FEW for one in windows):
        most = max(one.n_rows for one in windows)
        return f"no window has {LEAST_ROWS} rows (at most {most:,}); try a longer --window, or wait"
    last = windows[-1]
    trained = versions.trained(last.version_id)
    if versions.run_id(last.version_id) is None:
        return (
            f"no run is known to have made version {last.version or '?'}, so nothing says what it was trained on; "
            "record its training with `histhooks run train.py`"
        )
    if not trained.columns:
        return (
            "its run recorded no counts of the columns of its training data; train it again with HISTHOOKS_DATA=full "
            "and data whose columns can be read (an array, a DataFrame)"
        )
    return "the columns of these windows are not those of the training data; the notes say more"


def _notes(windows: Sequence[Window], versions: Versions) -> tuple[str, ...]:
    notes = []
    few = sum(one.state == TOO_FEW for one in windows)
    if few and few < len(windows):
        notes.append(f"{few} of {len(windows)} windows have fewer than {LEAST_ROWS} rows and are not judged")
    for version_id in dict.fromkeys(one.version_id for one in windows):
        trained = versions.trained(version_id)
        if not trained.columns and any(one.scores and one.version_id == version_id for one in windows):
            notes.append(
                f"version {versions.number(version_id)}: no counts of the columns of its training data are recorded, "
                "so that labels alone are judged"
            )
        bare = [str(one["name"]) for one in trained.columns
                if not set(one["facts"]) & {"edges", "categories"} and one["facts"].get("count")]  # fmt: skip
        if bare:
            names = ", ".join(map(repr, bare[:3])) + (f" and {len(bare) - 3} more" if len(bare) > 3 else "")
            notes.append(f"version {versions.number(version_id)}: {names} have too many categories to be counted")
    labels = [score for one in windows for score in one.scores[:1]]
    if labels and all(score.promise is None for score in labels):
        notes.append("labels are there, and the run recorded no test score that they could be held against")
    elif labels and all(score.n < LEAST_LABELS for score in labels):
        notes.append(f"no window has {LEAST_LABELS} labels, so that its performance is not judged")
    return tuple(notes)


# --- since when -------------------------------------------------------------------------------------------------------


def _change(ask: Ask, model: str, windows: Sequence[Window], window_s: float) -> Change | None:
    """The first window that shows what the last one is outside for."""
    last = windows[-1]
    broken = next((one.metric for one in last.scores if one.state == "broken"), None)
    if broken is not None:
        what, kind = broken, "performance"
        shows = [any(one.metric == broken and one.state == "broken" for one in window.scores) for window in windows]
    else:
        signals = last.signals or next((one.signals for one in reversed(windows) if one.signals), ())
        if not signals:
            return None
        what, kind = signals[0].key
        shows = [(what, kind) in {one.key for one in window.signals} for window in windows]
    first = len(shows) - 1
    gap = 0
    for place in range(len(shows) - 1, -1, -1):
        gap = 0 if shows[place] else gap + 1
        if gap > 1:  # two windows in a row without it end it
            break
        first = place if shows[place] else first
    at = windows[first].started_at
    return Change(at, what, kind, event_near(ask, model, at, window_s))


def limits_of(spans: Sequence[Gathered], versions: Versions) -> Baseline:
    """The limits of a baseline: of each column the greater of 0.1 and mean + 3 sd of its index in accepted windows."""
    found: dict[int, list[float]] = {}
    n = 0
    for span in spans:
        trained = versions.trained(span.version_id)
        _, indices = judged(trained.columns, span.columns, {})
        n += bool(indices)
        for column in trained.columns:
            index = indices.get(str(column["name"] if column["name"] is not None else column["position"]))
            if index is not None:
                found.setdefault(column["position"], []).append(index)
    if n < Baseline.LEAST:
        raise QueryError(
            f"a baseline takes {Baseline.LEAST} windows of {LEAST_ROWS} rows or more, and {n} are there; "
            "accept a longer time, or judge by a shorter --window"
        )
    limits = {}
    for position, values in found.items():
        mean = sum(values) / len(values)
        spread = math.sqrt(sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1))
        limits[position] = max(0.1, mean + 3 * spread)
    return Baseline(limits, n)
