"""Weights by content: what a digest knows, and the numbers beside it."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
import xxhash

from histhooks._collect import weights
from histhooks._collect.weights import Unreadable, Values, Weights, of_array, read, together

np = pytest.importorskip("numpy")


def of(**arrays: Any) -> Weights:
    found = read(value for name, array in arrays.items() if (value := of_array(name, np.asarray(array))) is not None)
    assert found is not None
    return found


def by_hand(tensors: dict[str, Any]) -> str:
    """The digest as the module's page says it is made."""
    lines = b""
    for name in sorted(tensors):
        array = np.asarray(tensors[name])
        shape = "x".join(str(n) for n in array.shape)
        lines += f"{len(name)}:{name} {array.dtype} {shape} {xxhash.xxh3_128(array.tobytes()).hexdigest()}\n".encode()
    return xxhash.xxh3_128(lines).hexdigest()


MATRIX = np.arange(12, dtype="f4").reshape(3, 4)


def test_a_digest_can_be_computed_from_its_description() -> None:
    tensors = {"b": MATRIX, "a.weight": np.float64(2.5).reshape(()), "naïve": np.array([True, False])}
    assert of(**tensors).digest == by_hand(tensors)


def test_one_bit_a_name_a_dtype_and_a_shape_each_make_another_digest() -> None:
    flipped = MATRIX.copy()
    flipped.view("u4")[1, 2] ^= 1
    others = [of(w=flipped), of(v=MATRIX), of(w=MATRIX.view("i4")), of(w=MATRIX.reshape(4, 3)), of(w=MATRIX[:2])]
    assert len({one.digest for one in [of(w=MATRIX), *others]}) == 6


def test_neither_the_order_of_names_nor_of_memory_counts() -> None:
    first = of(a=MATRIX, b=MATRIX + 1)
    assert first == of(b=np.asfortranarray(MATRIX + 1), a=MATRIX)
    assert of(a=MATRIX[:, ::2]).digest == of(a=MATRIX[:, ::2].copy()).digest
    assert of(a=MATRIX.astype(">f4")).digest == of(a=MATRIX).digest


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("size", [1, 100, 8192, 50_000])
def test_the_norm_is_that_of_float64_and_what_is_not_finite_is_counted(dtype: str, size: int) -> None:
    values = np.random.default_rng(size).standard_normal(size).astype(dtype)
    exact = math.sqrt(float(np.sum(np.abs(values.astype("c16")) ** 2)))
    assert of(w=values).l2 == pytest.approx(exact, rel=1e-7)
    assert of(w=values).nonfinite == 0
    values[0] = np.nan
    if size > 1:
        values[-1] = -np.inf
    found = of(w=values)
    assert found.nonfinite == min(size, 2)
    rest = math.sqrt(float(np.sum(np.abs(values[1:-1].astype("c16")) ** 2)))
    if not dtype.startswith("c"):
        assert found.l2 == pytest.approx(rest, rel=1e-6)


def test_squares_above_what_float32_holds_are_summed() -> None:
    assert of(w=np.full(20_000, 3e38, "f4")).l2 == pytest.approx(3e38 * math.sqrt(20_000), rel=1e-6)


def test_integers_have_no_norm_and_count_as_values() -> None:
    found = of(step=np.int64(7), w=MATRIX)
    assert (found.n_tensors, found.n_values, found.l2) == (2, 13, of(w=MATRIX).l2)


def test_a_tensor_with_two_names_counts_once() -> None:
    value = of_array("a", MATRIX)
    assert value is not None
    found = read([value, value._replace(name="b")])
    assert found is not None
    assert (found.n_tensors, found.n_values, found.l2) == (2, 12, of(a=MATRIX).l2)
    assert found.digest == by_hand({"a": MATRIX, "b": MATRIX})


def test_numbers_that_nobody_reads_leave_the_digest_alone() -> None:
    found = read([Values("w", "float8_e4m3fn", (4,), 4, 1, b"\x01\x02\x03\x04")])
    assert found is not None
    assert (found.l2, found.nonfinite, found.n_values) == (None, None, 4)
    half = read([Values("w", "bfloat16", (2,), 4, 1, np.array([1.0, 2.0], "f4").view("u2")[1::2].tobytes())])
    assert half is not None
    assert half.l2 == pytest.approx(math.sqrt(5))


def test_what_is_too_large_is_refused_before_it_is_looked_at() -> None:
    with pytest.raises(Unreadable, match="1024 MiB"):
        read([Values("w", "float32", (1 << 28,), 1 << 30, 1, None)])
    assert read([]) is None


def test_several_models_are_one_under_their_prefixes_and_a_part_has_no_digest() -> None:
    one, other = of(w=MATRIX), of(w=MATRIX + 1)
    found = together([("G.", one), ("D.", other)])
    assert found is not None
    assert found.digest == by_hand({"G.w": MATRIX, "D.w": MATRIX + 1})
    assert found.l2 == of(a=MATRIX, b=MATRIX + 1).l2
    partial = together([("G.", one), ("D.", other.of_a_part())])
    assert partial is not None
    assert (partial.digest, partial.n_tensors) == (None, 2)


def test_a_long_list_is_one_part_that_knows_each_of_its_members() -> None:
    trees = {f"trees[{n}].nodes": MATRIX + n for n in range(20)}
    found = of(coef=MATRIX, **trees)
    assert [part.name for part in found.parts] == ["coef", "trees"]
    assert found.n_tensors == 21
    trees["trees[7].nodes"] = MATRIX
    assert of(coef=MATRIX, **trees).digest != found.digest


def test_numpy_is_not_imported_for_it() -> None:
    program = "import sys\nfrom histhooks._collect.weights import *\n"
    program += "found = read([Values('w', 'float32', (1,), 4, 1, bytes(4))])\n"
    program += "assert found.digest and found.nonfinite is None and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert weights.ALGORITHM == "xxh3_128"
