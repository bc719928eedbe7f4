"""Make the rows and the ledger line of one transaction from buffer entries. Touches no file.

:mod:`histhooks._store.entries` lists the kinds of entries.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from math import isfinite
from typing import Any

from histhooks._base.clock import now_us
from histhooks._base.names import clean_text, masked_word
from histhooks._base.secrets import mask_text
from histhooks._base.values import as_float
from histhooks._store.batch import Batch, Changes, Series
from histhooks._store.entries import ACTOR, Entry, Line, Point, Source, row_in
from histhooks._store.ledger import (
    canonical,
    commitment,
    digest_rows,
    line_digest,
    pack_points,
    series_header,
)
from histhooks._store.params import as_written
from histhooks._store.tables import CONTENT, COVERED, PERSONAL, REFERENCES, RUN_OR_SESSION

_COUNTED = list(dict.fromkeys([*COVERED, "points"]))  # what has ordinals of its own in each scope
_MOST = 1 << 63
_REAL = frozenset({"lr", "duration_s"})
# Columns that are written as they are: what histhooks makes itself (ids, digests, words of its own), and JSON, whose
# secrets were masked while it still had its structure. All other texts are masked here, on their way into the row and
# the ledger, whoever recorded them.
_AS_IS = frozenset(
    "id run_id session_id subject_id parent_id other_run_id dataset_id optimizer_id environment_id code_version_id "
    "architecture_id scope sha256 digest previous status state subject severity direction point collector special "
    "boot_id started_at ended_at heartbeat_at process_started pid_namespace details settings scheduler digests holds "
    "ranges heads ledger_head recorder_version algorithm "
    "other_dataset_id fitted_dataset_id transform_run_id version_id from_version_id window_id content_sha256 "
    "state_sha256 subject_sha256 key_id part method by theta coverage facts arguments n_out tensors first causes "
    "evidence latency columns outputs checks signature".split()
)
_AS_IS_OF = {"results": _AS_IS | {"value"}}
_MAY_BE_OF_SESSION = frozenset(name for name, table in COVERED.items() if table.scope == RUN_OR_SESSION)
_SHORT = 100  # characters, up to which what came of masking is kept


class Assembler:
    """Numbers rows, folds points and chains the ledger lines of one session.

    :meth:`build` changes nothing here: what a batch changes goes with the batch, until :meth:`done` takes it over. A
    batch that could not be written is dropped, and nothing has to be undone.

    Parameters
    ----------
    session_id : str
        The session that writes.
    report : callable
        Called with a kind and a text for each entry that could not be used.
    rest : callable, optional
        Called wherever the work can be interrupted.
    """

    def __init__(
        self, session_id: str, report: Callable[[Any, str], None], rest: Callable[[], None] = lambda: None
    ) -> None:
        self.session_id = session_id
        self._rest = rest
        self.subjects: dict[str, tuple[str, dict[str, Any]]] = {}
        self._heads: list[list[Any]] | None = None
        self.previous: str | None = None
        self._report = report
        self._seq = 0
        self._ordinals: dict[tuple[str, str], int] = {}
        self._series: dict[str, dict[str, Series]] = {}
        # Of runs that ended: the names of their series and their ordinals, as little as may be.
        self._gone: dict[str, tuple[str, ...]] = {}
        self._packed: dict[str, str] = {}
        self._known: set[tuple[str, str]] = set()
        self._last_time = 0

    def begin(self, heads: list[list[Any]]) -> None:
        """Name the last ledger lines of other sessions (`Store.heads`) in the first line of this one."""
        self._heads = heads

    def build(self, entries: Iterable[Entry]) -> Batch:
        """Build the transaction of some entries, in their order."""
        batch = Batch(Changes(self._seq, self.previous))
        pending: dict[tuple[str, str], list[dict[str, Any]]] = {}
        params: dict[str, list[Entry]] = {}
        points: dict[str, dict[str, tuple[Series, list[Point]]]] = {}
        rest = self._rest
        for entry in entries:
            rest()
            kind = entry[0]
            if kind.__class__ is Line:
                _, value, step, time_ns = entry
                self._points((kind.run, {kind.name: value, **kind.rest}, step, kind.epoch, time_ns), batch, points)
            elif kind.__class__ is not str:
                self._points(entry, batch, points)
            elif kind == "row":
                self._row(entry[1], entry[2], row_in(entry), batch, pending)
            elif kind == "params":
                params.setdefault(entry[1], []).append(entry)
            elif kind == "state":
                self._state(entry, batch, pending)
            elif kind == "content":
                self._content(entry[1], entry[2], batch, pending)
            elif kind == "part":
                batch.parts.append(entry[1])
            elif kind == "forget":
                self._forget(entry[1], batch.changes)
            else:
                batch.after.append(entry[1])
        for run_id, given in params.items():
            self._close_params(batch, run_id, given)
        self._close(batch, pending, points)
        return batch

    def head(self) -> str:
        """The first digits of the last ledger line, as the closing line shows them."""
        return (self.previous or "")[:12]

    def done(self, batch: Batch) -> None:
        """Take over what a batch changed, now that it is written; a second time changes nothing."""
        changes = batch.changes
        batch.changes = Changes(changes.seq, changes.previous)
        if changes.seq < self._seq:
            return  # another thread has gone on since
        self._seq, self.previous = changes.seq, changes.previous
        self._ordinals.update(changes.ordinals)
        self._known |= changes.known
        self.subjects.update(changes.subjects)
        for series, summary, roller in changes.folds:
            series.summary, series.roller = summary, roller
        for run_id, names in changes.gone.items():
            # All but their names: one that came back would begin at 0 again.
            self._series.pop(run_id, None)
            self._gone[run_id] = names
            self._pack(run_id)
        for run_id, new in changes.series.items():
            self._series.setdefault(run_id, {}).update(new)

    def resume(self, seq: int, previous: str, ordinals: dict[tuple[str, str], int]) -> None:
        """Go on where a session that is gone stopped: with the number of the next line, the digest of the one before,
        and the next ordinal of each scope and table.
        """
        self._seq, self.previous, self._ordinals = seq, previous, dict(ordinals)

    def number_from(self, ordinals: dict[tuple[str, str], int]) -> None:
        """Number rows of some scopes and tables, where another session wrote the first ones."""
        self._ordinals.update(ordinals)

    def not_before(self, time: int) -> None:
        """Give what follows a later time than this one (microseconds UTC): states fold in order of time."""
        self._last_time = max(self._last_time, time)

    def _forget(self, run_id: str, changes: Changes) -> None:
        names = () if run_id in changes.gone else tuple(self._series.get(run_id, ()))
        names = (*self._names_gone(run_id, changes), *names, *changes.series.pop(run_id, ()))
        if names:
            changes.gone[run_id] = names

    def _names_gone(self, run_id: str, changes: Changes) -> tuple[str, ...]:
        """Names of metrics that a run had before it ended."""
        return changes.gone.get(run_id) or self._gone.get(run_id, ())

    def _pack(self, scope: str) -> None:
        """Keep the ordinals of an ended run in one text: what comes to it later is little, and rare."""
        self._unpack(scope)
        found = [(table, self._ordinals.pop((scope, table), 0)) for table in _COUNTED]
        self._packed[scope] = " ".join(f"{table} {number}" for table, number in found if number)

    def _unpack(self, scope: str) -> None:
        words = self._packed.pop(scope, "").split()
        self._ordinals.update({(scope, table): int(number) for table, number in zip(words[::2], words[1::2])})

    def salted(self, batch: Batch, subject_id: str, field_name: str, value: str | None) -> str:
        """Commit to a personal value and keep its salt apart."""
        salt = os.urandom(16).hex()
        batch.salts.append((subject_id, field_name, salt))
        return commitment(salt, value)

    def _take(self, changes: Changes, key: tuple[str, str], count: int) -> int:
        """The next ordinal of a scope and a table, of ``count`` that are used up."""
        if key[0] in self._packed:
            self._unpack(key[0])
        number = changes.ordinals.get(key)
        if number is None:
            number = self._ordinals.get(key, 0)
        changes.ordinals[key] = number + count
        return number

    def _points(self, entry: Entry, batch: Batch, points: dict[str, dict[str, tuple[Series, list[Point]]]]) -> None:
        run, metrics, step, epoch, time_ns = entry
        of_run = points.get(run.id)
        if of_run is None:
            of_run = points[run.id] = {}
        for number in (step, epoch):
            if number is not None and not -_MOST <= number < _MOST:
                self._report(run, f"a point was refused: {number} is no step that 64 bits hold")
                return
        start = run.start_us
        time = time_ns // 1000 - start
        for name, value in metrics.items():
            slot = of_run.get(name)
            if slot is None:
                name = clean_text(name)  # which the call itself, where all is as it should be, takes no time for
                slot = of_run.get(name)
            if slot is None:
                if name in self._names_gone(str(run.id), batch.changes):
                    self._report(run, f"metric {name!r} was refused: the run had it before it ended")
                    continue
                series = self._series_of(run, name, batch.changes)
                slot = of_run[name] = (series, [])
            series, new = slot
            n = series.summary.count + len(new)
            if value.__class__ is not float:
                try:
                    value = as_float(value)
                except (TypeError, ValueError, OverflowError, RuntimeError, AttributeError) as error:
                    self._report(run, f"metric {name!r} was refused: {error}")
                    continue
            if value - value == 0.0:
                new.append((n, n if step is None else step, epoch, time, value + 0.0, None))
            else:
                special = "nan" if value != value else "inf" if value > 0 else "-inf"
                new.append((n, n if step is None else step, epoch, time, None, special))

    def _series_of(self, run: Source, name: str, changes: Changes) -> Series:
        run_id = str(run.id)
        known = {} if run_id in changes.gone else self._series.get(run_id, {})
        new = changes.series.setdefault(run_id, {})
        series = known.get(name) or new.get(name)
        if series is None:
            shown, what = mask_text(name), run.what_is(name)
            what = what._replace(metric=mask_text(clean_text(what.metric)))
            taken = {other.name for other in (*known.values(), *new.values())} if shown != name else ()
            while shown in taken:
                shown += "'"
            series = new[name] = Series(run_id, shown, what, run.start_us)
        return series

    def _row(
        self, table: str, scope: str, row: dict[str, Any], batch: Batch, pending: dict[Any, list[dict[str, Any]]]
    ) -> None:
        if table in _MAY_BE_OF_SESSION and row["run_id"] is None:
            # What concerns no run belongs to the session that writes it, even if it was said before that began.
            scope, row = self.session_id, {**row, "session_id": self.session_id}
        if row.get("author") is ACTOR:
            _, facts = batch.changes.subjects.get(self.session_id) or self.subjects[self.session_id]
            row = {**row, "author": facts.get("actor")}
        pending.setdefault((scope, table), []).append(_written(row, _AS_IS_OF.get(table, _AS_IS)))

    def _content(
        self, table: str, rows: list[dict[str, Any]], batch: Batch, pending: dict[Any, list[dict[str, Any]]]
    ) -> None:
        key = str(rows[0][COVERED[table].columns[0]]), table
        if not self._knows(key, batch.changes):
            batch.changes.known.add(key)
            pending[key] = [_written(row, row.keys()) for row in rows]

    def _knows(self, key: tuple[str, str], changes: Changes) -> bool:
        return key in self._known or key in changes.known

    def _state(self, entry: Entry, batch: Batch, pending: dict[Any, list[dict[str, Any]]]) -> None:
        _, subject, subject_id, facts, personal = entry
        facts = _written(facts, _AS_IS)
        for column in REFERENCES.keys() & facts.keys():
            if not self._knows((facts[column], REFERENCES[column]), batch.changes):
                del facts[column]  # it could not be written
        covered = dict(facts)
        facts.pop("ledger_head", None)  # evidence in the state only, no column
        for column, value in (personal or {}).items():
            facts[column] = None if value is None else mask_text(clean_text(value))
            covered[column] = {"$personal": self.salted(batch, subject_id, column, facts[column])}
        time = max(now_us(), self._last_time + 1)
        self._last_time = time
        rows = pending.setdefault((subject_id, "states"), [])
        if rows and "status" not in rows[-1]["state"]:
            # What was only brought up to date, and not yet written, is said together with what follows.
            rows[-1]["state"].update(covered)
            rows[-1]["time"] = time
        else:
            row = {"subject_id": subject_id, "session_id": self.session_id, "time": time, "subject": subject}
            rows.append({**row, "state": covered})  # as text only in the end
        subjects = batch.changes.subjects
        if subject_id not in subjects and (known := self.subjects.get(subject_id)) is not None:
            subjects[subject_id] = (known[0], dict(known[1]))
        if subject_id in subjects:
            subjects[subject_id][1].update(facts)
        elif "started_at" in facts:
            subjects[subject_id] = (subject, dict(facts))
        batch.states.setdefault(subject_id, (subject, {}))[1].update(facts)
        batch.is_durable = batch.is_durable or "status" in facts

    def _close(self, batch: Batch, pending: dict[tuple[str, str], list[dict[str, Any]]], points: Any) -> None:
        changes, total = batch.changes, sum(part[4] for part in batch.parts)
        for (scope, table), rows in pending.items():
            spec = COVERED[table]
            first = 0
            if table not in CONTENT:
                first = self._take(changes, (scope, table), len(rows))
                for number, row in enumerate(rows, first):
                    if table == "states":
                        row["state"] = canonical(row["state"]).decode("ascii")
                    row["ordinal"] = number
                    if table in PERSONAL:
                        self._commit_personal(batch, table, scope, row)
            if table == "packages":
                rows.sort(key=lambda row: row["name"].encode())
            self._rest()
            digest = digest_rows([row.get(column) for column in spec.columns] for row in rows)
            batch.parts.append((scope, table, first, first + len(rows) - 1, len(rows), digest, None))
            batch.rows.setdefault(table, []).extend(rows)
            total += len(rows)
        for run_id, of_run in points.items():
            total += self._close_points(batch, run_id, of_run)
        if not batch.parts:
            return
        time = max(now_us(), self._last_time + 1)
        self._last_time = time
        heads = self._heads if changes.seq == 0 else None
        digest = line_digest(self.session_id, changes.seq, time, changes.previous, heads, batch.parts)
        heads_text = None if heads is None else canonical(heads).decode("ascii")
        batch.line = (self.session_id, changes.seq, total, digest, changes.previous, time, heads_text)
        changes.previous = digest
        changes.seq += 1

    def _commit_personal(self, batch: Batch, table: str, scope: str, row: dict[str, Any]) -> None:
        for column in PERSONAL[table]:
            place = f"{table}/{self.session_id}/{row['ordinal']}/{column}"
            row[f"{column}_sha256"] = self.salted(batch, scope, place, row.get(column))

    def _close_params(self, batch: Batch, run_id: str, given: list[Entry]) -> None:
        self._rest()
        count = sum(len(entry[3]) for entry in given)
        first = self._take(batch.changes, (run_id, "params"), count)
        values, digest = as_written(run_id, first, (entry[2:] for entry in given))
        batch.params += values
        batch.parts.append((run_id, "params", first, first + count - 1, count, digest, None))

    def _close_points(self, batch: Batch, run_id: str, of_run: dict[str, tuple[Series, list[Point]]]) -> int:
        digest, ranges, total = hashlib.sha256(), [], 0
        for name in sorted(of_run):
            series, new = of_run[name]
            if not new:
                continue
            what = series.what
            first, last = new[0][0], new[-1][0]
            digest.update(
                series_header(series.name, what.metric, what.split, what.direction, series.start_time, first, last)
            )
            self._rest()
            digest.update(pack_points(new))
            self._rest()
            summary, roller = replace(series.summary), series.roller.copy()
            batch.changes.folds.append((series, summary, roller))
            summary.add(new)
            self._rest()
            batch.points.append((series, summary, new, roller.add(new)))
            ranges.append([series.name, first, last])
            total += len(new)
        if total:
            first = self._take(batch.changes, (run_id, "points"), total)
            text = canonical(ranges).decode("ascii")
            batch.parts.append((run_id, "points", first, first + total - 1, total, digest.hexdigest(), text))
        return total


def _written(row: dict[str, Any], as_is: Container[str]) -> dict[str, Any]:
    """Values as they read back from SQLite, and no secret in a text, but for columns that are written as they are.

    No -0.0, NaN or bool; REAL columns are float, text is what UTF-8 can hold.
    """
    out = {}
    for column, value in row.items():
        kind = value.__class__
        if kind is str:
            if column in as_is:
                value = value if value.isascii() else clean_text(value)
            else:
                value = masked_word(value) if len(value) <= _SHORT else mask_text(clean_text(value))
        elif kind is bool:
            value = int(value)
        elif value is not None and (kind is float or column in _REAL):
            value = float(value) + 0.0
            value = value if isfinite(value) else None
        out[column] = value
    return out
