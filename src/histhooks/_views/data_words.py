"""What is known of data by content, of splits, transformers and weights, as short texts: facts and questions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from histhooks._base import text as _text
from histhooks._base.ids import short_id
from histhooks.history._places import place
from histhooks.history.data.chance import Judged, judge
from histhooks.history.data.columns import telling

if TYPE_CHECKING:
    from histhooks.history._records import RunRecord
    from histhooks.history.data.columns import ColumnChange
    from histhooks.history.data.comparison import Answer, DataComparison, Side
    from histhooks.history.data.dataset import Dataset
    from histhooks.history.data.rows import Digest, Overlap, Split, Transform, Weights
    from histhooks.history.data.sketches import Shared

HOW = "HISTHOOKS_DATA=full, the default, records it; stores before schema 1.2 do not have it"
COVERAGE = {
    "all": "whole",
    "sample": "a sample: cannot tell whether the rest is the same",
    "index": "which samples, not their values",
    "none": "not hashed",
}


def rows(n: int) -> str:
    """`1 row`, `2 rows`."""
    return "1 row" if n == 1 else f"{n:,} rows"


def share(value: float) -> str:
    """A share in percent; a small one with its first digits."""
    percent = 100 * value
    return (
        f"{percent:.0f} %"
        if percent in (0, 100) or percent >= 99.95
        else f"{percent:.2g} %"
        if percent < 10
        else f"{percent:.1f} %"
    )


def shape(data: Dataset) -> str:
    """Container, rows and columns, size."""
    columns = f" × {data['n_columns']:,}" if data["n_columns"] is not None else ""
    n_rows = f" {data['n_rows']:,}{columns}" if data["n_rows"] is not None else ""
    size = f", {_text.size(data['size_bytes'])}" if data["size_bytes"] is not None else ""
    return f"{data['kind']}{n_rows}{size}"


def content(data: Dataset) -> str:
    """The hash of all of it, and what it covers: that of the fingerprint where it is whole, else that of the values."""
    digest = data.digest("all")
    if data["coverage"] != "all" and digest is not None and digest.digest is not None:
        covers = "" if digest.is_whole else " (of a sample)"
        return f"content {digest.digest[:12]}{covers}"
    if not data["content_hash"]:
        return "content not hashed"
    return f"content {data['content_hash'][:12]}" + (" (of a sample)" if data["coverage"] == "sample" else "")


def digests(data: Dataset) -> list[str]:
    """The hash of all of it with what it covers, then those of its parts."""
    found = data.digests
    if not found:
        covers = COVERAGE.get(data["coverage"] or "", "unknown how much")
        return [f"fingerprint {data['content_hash'][:12]}, {covers}"] if data["content_hash"] else []
    head = sorted((one for one in found if one.part == "all"), key=lambda one: one.algorithm == "sha256")
    keys = dict.fromkeys(one.key_id for one in found if one.key_id)
    keyed = f" (key {', '.join(keys)})" if keys else ""
    lines = [f"{(one.digest or 'none')[:12]}, {_coverage(one)}" for one in head[:1]]
    lines += [f"SHA-256 {(one.digest or 'none')[:12]}" for one in head[1:]]
    lines += [f"fingerprint {data['content_hash'][:12]}"] if data["content_hash"] else []
    passed = [one for one in found if one.is_of_batches]
    parts = [one for one in found if one.part != "all" and one not in passed]
    covers = "" if all(one.is_whole for one in found) else f": {_coverage(parts[0])}" if parts and not head else ""
    told = [f"{_PARTS.get(one.part, one.part)} {(one.digest or 'none')[:12]}" for one in parts]
    lines = [line for line in ("; ".join(lines), ", ".join(told) + keyed + covers if told else "") if line]
    return lines + [f"first batches as they passed {(one.digest or 'none')[:12]}: {_coverage(one)}" for one in passed]


_PARTS = {"rows": "rows in any order", "order": "as they stand"}


def _coverage(one: Digest) -> str:
    seen = f", the first {rows(one.n_rows)}" if one.coverage == "sample" and one.n_rows is not None else ""
    return f"{COVERAGE.get(one.coverage, one.coverage)}{seen}"


def twins(data: Dataset) -> str:
    """How many rows repeat another one; empty if that is unknown."""
    found = next((one for one in data.sketches if one.part in ("features", "rows")), None)
    if found is None or found.n_distinct is None:
        return ""
    n = found.n_rows - found.n_distinct
    if not n:
        return f"no row repeats another one of the {found.n_rows:,}"
    repeats = "repeats" if n == 1 else "repeat"
    return f"{n:,} of {rows(found.n_rows)} ({share(n / found.n_rows)}) {repeats} an earlier one"


def overlap(one: Overlap) -> str:
    """What two data sets share: a fact, or a question."""
    found, other = judge(one), _other(one)
    if one.part == "index":
        if not one.n_equal:
            return f"no sample is in {other} too, by their numbers in one Dataset"
        return f"{_some(one, 'sample')} also in {other}, by number in one Dataset: should they be in both?"
    if one.part.startswith("group:"):
        group = one.part.partition(":")[2]
        if not one.n_equal:
            return f"no group of {group} is in {other} too"
        return f"{_some(one, 'row')} of a group of {group} that is in {other} too: should it be in both?"
    if one.part.startswith("time:"):
        last = f"the last {one.part.partition(':')[2]} of {other}"
        return f"{_some(one, 'row')} before {last}" if one.n_equal else f"no row is before {last}"
    if not one.n_equal:
        return f"no row is in {other} too" + ("" if one.method == "exact" else ", as far as a sketch shows")
    estimated = "" if one.method == "exact" else "about "
    return f"{estimated}{_some(one, 'row')} in {other} too; {_baseline(one, found, other)}"


def _some(one: Overlap, what: str) -> str:
    is_one = one.n_equal == 1
    n = f"{one.n_equal:,} of {one.n_rows:,} {what}s ({share(one.n_equal / one.n_rows if one.n_rows else 0.0)})"
    return f"{n} {'is' if is_one else 'are'}"


def _other(one: Overlap) -> str:
    name = " and ".join(one.other_roles) or one.other_dataset_id[:12]
    return f"{name} of {short_id(one.other_run_id)}" if one.other_run_id else name


def _baseline(one: Overlap, found: Judged, other: str) -> str:
    """What chance explains."""
    inside = ""
    if found.by_chance is not None:
        told = "no row" if not found.by_chance else f"{share(found.by_chance)} of the rows"
        inside = f"inside {other} {told} {'has' if not found.by_chance else 'have'} a twin"
    if found.level == "chance":
        return f"{inside}, so that chance explains it" if inside else "chance may explain it"
    why = "columns tell rows apart, so that it is no chance" if one.is_identifying else "chance does not explain it"
    return f"{inside + ', and ' if inside else ''}{why}: should they be in both?"


def split(one: Split) -> str:
    """A split: function, settings, samples, place."""
    shown = {key: value for key, value in one.arguments.items() if value is not None or _is_missed(key, one)}
    told = ", ".join(f"{key}={_text.value_text(value, 30)}" for key, value in shown.items())
    text = f"{one.function}({told})"
    if one.n_in is not None:
        text += f": {one.n_in:,}" + (f" → {' + '.join(f'{n:,}' for n in one.n_out[:5])}" if one.n_out else "")
        text += " …" if len(one.n_out) > 5 else ""
    shuffled = {True: ", shuffled", False: ", in order", None: ""}[one.is_shuffled]
    return text + shuffled + (f", at {one.location}" if one.location else "")


def latest(found: Iterable[Split], sizes: Iterable[int | None] = ()) -> list[Split]:
    """The last split of each call of the program, the latest first.

    Parameters
    ----------
    found : iterable of Split
    sizes : iterable of int or None
        The rows of the data of the run. A split before the run is left out if neither a part of it nor what was split
        from it is as large as any of these.
    """
    wanted = {n for n in sizes if n}
    kept = []
    for one in list({(one.function, one.location): one for one in found}.values())[::-1]:
        if not wanted or not one.is_before or not one.n_out or wanted & {*one.n_out}:
            wanted |= {one.n_in} if wanted and one.n_in else set()
            kept.append(one)
    return kept


def _is_missed(key: str, one: Split) -> bool:
    """Whether a setting that was not given says something: the samples were shuffled without a seed."""
    return key == "random_state" and one.is_shuffled is True


def splits_into(found: Iterable[Split], n_rows: int | None) -> list[Split]:
    """The splits that data of so many rows may have come from, the latest first."""
    return [one for one in reversed(list(found)) if n_rows is not None and n_rows in one.n_out]


def file_reads(run: RunRecord, most: int) -> list[str]:
    """Files that the program read, the latest content of each: path, size, hash, what read it and where."""
    known = {file["sha256"] for file in run.artifacts if file["direction"] == "in"}  # which stand among the files
    found = list({(f["path"], f["function"]): f for f in run.file_reads if f["sha256"] not in known}.values())
    lines = []
    for file in found[:most]:
        size = _text.size(file["size_bytes"]) if file["size_bytes"] is not None else ""
        digest = file["sha256"][:12] if file["sha256"] else "not hashed"
        by = file["function"] + (f" at {file['location']}" if file["location"] else "")
        lines.append(", ".join(filter(None, [place(run, file["path"]), size, digest, by])))
    return lines + ([f"… {len(found) - most} more"] if len(found) > most else [])


def transform(one: Transform, run: RunRecord) -> str:
    """A transformer that data came out of, and what it had been fitted on."""
    name = one.class_name.rpartition(".")[2]
    if one.requires_fit is False:
        return f"{name}, which learns nothing from data"
    by = " (known by its columns)" if one.by == "columns" else ""
    fitted = f"{name}, fitted on {_fitted_on(one, run)}"
    target = " with a target" if one.uses_target else ""
    if one.n_fitted is None:
        return f"{fitted}{target}{by}"
    n = "all" if one.n_fitted == one.n_rows else f"{one.n_fitted:,}"
    of = f"{n} of these" + (f" {rows(one.n_rows)}" if one.n_rows is not None else " rows")
    if one.role == "train":
        return f"{fitted}{target}: {of}{by}"
    if not one.n_fitted:
        return f"{fitted}{target}: none of these rows{by}"
    return f"{fitted}{target}: {of}{by}: should it have seen them?"


def _fitted_on(one: Transform, run: RunRecord) -> str:
    roles = [data["role"] for data in run.datasets if data["id"] == one.fitted_dataset_id]
    if roles:
        return " and ".join(dict.fromkeys(roles))
    data = f"data {one.fitted_dataset_id[:12]}" if one.fitted_dataset_id else "other data"
    return data + (f" in {short_id(one.transform_run_id)}" if one.transform_run_id else "")


def weights(found: Iterable[Weights]) -> str:
    """The weights at start and end; whether any is not finite."""
    last = {one.point: one for one in found}
    if not last:
        return ""
    told = [f"{point} {one.digest[:12] if one.digest else 'not hashed'}" for point, one in last.items()]
    end = last.get("end") or next(reversed(last.values()))
    odd = [f"{one.nonfinite:,} not finite at {point}" for point, one in last.items() if one.nonfinite]
    norm = f"norm {_text.number(end.l2)}" if end.l2 is not None else ""
    start = last.get("start")
    is_still = start is not None and "end" in last and start.digest is not None and start.digest == end.digest
    size = f"{end.n_values:,} values in {end.n_tensors:,} arrays"
    return ", ".join(filter(None, [" → ".join(told), "unchanged" if is_still else "", size, norm, *odd]))


def overlapping(run: RunRecord) -> list[str]:
    """A line for each pair of data sets that share rows, those that matter first; in few words where none do."""
    found = run.overlaps
    by_number = {(one.dataset_id, one.other_dataset_id, one.n_equal) for one in found if one.part == "index"}
    found = [
        one  # what the numbers of the samples say, their values need not say again
        for one in found
        if one.part != "features" or (one.dataset_id, one.other_dataset_id, one.n_equal) not in by_number
    ]
    worst = sorted((one for one in found if one.n_equal), key=lambda one: not judge(one).counts)
    lines = [f"{' and '.join(one.roles) or one.dataset_id[:12]}: {overlap(one)}" for one in worst]
    if not lines and found:
        pairs = dict.fromkeys(f"{' and '.join(one.roles) or one.dataset_id[:12]} and {_other(one)}" for one in found)
        return [f"none between {'; '.join(pairs)}"]
    return lines


def shared_rows(found: Shared) -> str:
    """How many rows of A are in B; of a sketch how many it would have seen."""
    if found.is_exact:
        return f"{found.n_equal:,} of the {found.n_a:,} different rows of A are in B, which has {found.n_b:,}"
    bounds = f"{found.low:,} to {found.high:,}"
    if not found.n_equal:
        return f"none was seen; {found.sees:,} or more would have been, with 99 % probability (by a sketch)"
    return f"about {found.n_equal:,} ({bounds}) of the {found.n_a:,} different rows of A are in B (by a sketch)"


def facts(found: Mapping[str, Any], key: str) -> str:
    """One fact of a column as a text; nothing where it is not known."""
    value = found.get(key)
    if value is None:
        return ""
    if key == "monotone":
        return {1: "rising", -1: "falling"}.get(value, "")
    if key == "categories" and isinstance(value, list):
        return ", ".join(f"{count:,}" for _, count in value[:4]) + (" …" if len(value) > 4 else "")
    return _text.number(value) if isinstance(value, (int, float)) else _text.value_text(value, 30)


def side(one: Side) -> str:
    """One of two data sets that are compared: of which run, its shape and content."""
    used = f"{one.data['role']} of {one.run['name']}  {short_id(one.run['id'])}  " if one.run is not None else ""
    when = f"  {_text.when(one.run['started_at'])}" if one.run is not None else ""
    name = used or f"data {one.data['id'][:12]}  "
    return f"{name}{shape(one.data)}, {content(one.data)}{when}"


def answer(one: Answer, found: DataComparison) -> str:
    """Whether one part is the same, in words."""
    if one.is_same is None:
        return one.why if one.why == "not recorded" else f"cannot tell: {one.why}"
    if one.part == "rows" and one.is_same:
        if found.is_reordered:
            return "the same ones, in another order"
        is_exact = found.answer("features").is_same is True and found.answer("order").is_same is True
        return "the same ones" + ("" if is_exact else ", with floats rounded to float32")
    differs = "differ" if one.part in ("features", "rows") else "differs"
    return ("the same" if one.is_same else differs) + (f": {one.why}" if one.why else "")


def answers(found: DataComparison) -> list[Answer]:
    """The answers for the parts; of rows that differ their order says nothing more."""
    has_other_rows = found.answer("rows").is_same is False
    return [one for one in found.answers if one.part != "all" and not (one.part == "order" and has_other_rows)]


def change(one: ColumnChange) -> str:
    """What differs most in a column."""
    key = telling(one)
    if key is None or one.a is None or one.b is None:
        return f"{one.name}: only in {'B' if one.a is None else 'A'}"
    more = f" and {len(one.a) - 1} more" if len(one.a) > 1 else ""
    texts = [facts(side, key) for side in (one.a, one.b)]
    if texts[0] == texts[1]:  # they differ further down
        texts = [_text.value_text(side[key], 200) for side in (one.a, one.b)]
    return f"{one.name}: {key} {texts[0]} → {texts[1]}{more}"


def verdict(found: DataComparison) -> str:
    """The whole comparison in one sentence."""
    if found.is_same:
        return "The same content."
    if found.is_same is None:
        return f"Cannot tell: {found.answer('all').why}."
    if found.is_reordered:
        return "The same rows in another order."
    parts = [one.part for one in found.answers if one.is_same is False and one.part in ("features", "target")]
    why = found.answer("all").why or "in content"
    return f"They differ in {' and '.join(parts)}." if parts else f"They differ: {why}."
