"""The first batches of a loader whose data cannot be read whole, hashed as they pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.loops import record
from histhooks.testing import query, run_program

pytest.importorskip("torch")

SAMPLES = """
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset
class Samples(Dataset):
    def __init__(self, n=320, offset=0):
        self.n, self.offset = n, offset
    def __len__(self):
        return self.n
    def __getitem__(self, at):
        return torch.full((3,), float(at + self.offset)) / 100, torch.tensor([float(at % 7)])
class Judged(Samples):
    pass
def fit(loader, valid=None, epochs=2):
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), 0.01)
    for epoch in range(epochs):
        for x, y in loader:
            step(net, optimizer, x, y)
        if valid is not None:
            net.eval()
            with torch.no_grad():
                for x, y in valid:
                    net(x)
            net.train()
def seeded(n):
    return torch.Generator().manual_seed(n)
"""
SQL = (
    "SELECT g.digest, g.part, g.algorithm, g.coverage, g.n_rows, g.size_bytes, g.key_id, d.role FROM dataset_digests "
    "AS g JOIN run_datasets AS d ON d.run_id = g.run_id AND d.dataset_id = g.dataset_id JOIN runs AS r "
    "ON r.id = g.run_id ORDER BY r.started_at, r.id, g.ordinal"
)


def digests(store: Path, body: str) -> list[tuple[object, ...]]:
    record(store, SAMPLES + body)
    return list(query(store, SQL))


def test_the_first_eight_batches_of_training_and_validation_are_a_sample_of_their_order(store_path: Path) -> None:
    body = "fit(DataLoader(Samples(), 16), DataLoader(Judged(40), 16))"
    train, valid = digests(store_path, body)
    assert train[1:] == ("order", "xxh3_128", "sample", 8 * 16, 8 * 16 * 4 * 4, None, "train")
    assert valid[1:] == ("order", "xxh3_128", "sample", 40, 40 * 4 * 4, None, "valid")
    assert len({train[0], valid[0]}) == 2
    sql = "SELECT collector, status FROM captures WHERE collector = 'data_content'"
    assert query(store_path, sql) == []


def test_one_seed_and_data_have_one_digest_and_another_shuffle_another_one(store_path: Path) -> None:
    body = """
for workers in (0, 2):
    for seed in (1, 1, 2):
        fit(DataLoader(Samples(), 16, shuffle=True, generator=seeded(seed), num_workers=workers))
fit(DataLoader(Samples(offset=1), 16, shuffle=True, generator=seeded(1)))
for _ in range(2):
    fit(DataLoader(Samples(), 16, shuffle=True))
"""
    found = [row[0] for row in digests(store_path, body)]
    one, again, other, of_workers, of_workers_again, other_of_workers, of_other_data, free, other_free = found
    assert one == again == of_workers == of_workers_again
    assert other == other_of_workers
    assert len({one, other, of_other_data, free, other_free}) == 5


def test_what_comes_after_the_eighth_batch_does_not_count_and_a_pass_that_is_left_does(store_path: Path) -> None:
    body = """
class Late(Samples):
    def __getitem__(self, at):
        x, y = super().__getitem__(at)
        return (x, y) if at < 128 else (x + 1, y)
class Changed(Samples):
    def __getitem__(self, at):
        x, y = super().__getitem__(at)
        return (x, y) if at < 127 else (x + 1, y)
def left(loader):
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), 0.01)
    for n, (x, y) in enumerate(loader):
        if n == 3:
            break
        step(net, optimizer, x, y)
for data in (Samples(), Late(), Changed()):
    fit(DataLoader(data, 16), epochs=3)
left(DataLoader(Samples(), 16))
"""
    whole, late, changed, short = digests(store_path, body)
    assert whole[0] == late[0] != changed[0]
    assert short[4] == 4 * 16
    assert short[0] not in (whole[0], changed[0])


def test_streams_dicts_images_texts_arrays_and_subsets_are_hashed(store_path: Path) -> None:
    body = """
import numpy, collections
class Stream(IterableDataset):
    def __iter__(self):
        return (Samples()[at] for at in range(100))
def dicts(samples):
    x, y = torch.utils.data.default_collate(samples)
    return collections.UserDict({"x": x, "inner": {"y": y, "names": [f"é{v.item()}" for v in y]}, "of": len(y)})
def arrays(samples):
    return numpy.stack([numpy.arange(3.0) * len(samples) for _ in samples]).T, [1.5, None, True, b"x"]
def images(samples):
    labels = torch.cat([y for _, y in samples])
    images = torch.stack([x.mean().expand(3, 64, 64) for x, _ in samples])
    return images.to(memory_format=torch.channels_last), labels
def turn(loader, x_of):
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), 0.01)
    for batch in loader:
        x = x_of(batch)
        step(net, optimizer, x, x[:, :1])
fit(DataLoader(Stream(), 16))
for _ in range(2):
    turn(DataLoader(Samples(), 16, collate_fn=dicts), lambda batch: batch["x"])
    turn(DataLoader(Samples(), 16, collate_fn=arrays), lambda batch: torch.ones(2, 3))
    turn(DataLoader(Samples(), 16, collate_fn=images), lambda batch: batch[0][:, :, 0, 0].contiguous())
fit(DataLoader(Subset(Samples(), range(10, 200)), 16))
"""
    stream, *others, part = digests(store_path, body)
    assert stream[3:] == ("sample", 100, 1600, None, "train")
    assert [row[0] for row in others[:3]] == [row[0] for row in others[3:]]
    assert len({row[0] for row in others}) == 3
    assert [row[4] for row in others[:3]] == [128, None, 128]
    sizes = [int(str(row[5])) for row in others]
    assert max(sizes) <= 1 << 20
    assert sizes[2] >= 8 * 2 * 3 * 64 * 64 * 4  # of each batch, the first images that have room
    assert part[3:5] == ("sample", 128)


def test_what_is_no_tensor_and_what_is_on_a_device_is_left_out_and_said(store_path: Path) -> None:
    body = """
class Boxes:
    def __iter__(self):
        raise AssertionError("asked")
    __len__ = __getattr__ = __iter__
def boxes(samples):
    return (*torch.utils.data.default_collate(samples), Boxes(), torch.ones(2, device="meta"))
def turn(loader):
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), 0.01)
    for batch in loader:
        step(net, optimizer, torch.ones(2, 3), torch.ones(2, 1))
turn(DataLoader(Samples(), 16, collate_fn=boxes))
turn(DataLoader(Samples(), 16, collate_fn=lambda samples: Boxes()))
"""
    (row,) = digests(store_path, body)
    assert row[3:6] == ("sample", 128, 8 * 16 * 4 * 4)
    sql = "SELECT status, note FROM captures WHERE collector = 'data_content' ORDER BY ordinal"
    (cut, cut_note), (skipped, skipped_note) = query(store_path, sql)
    assert (cut, skipped) == ("truncated", "skipped")
    assert "a value of class Boxes" in str(cut_note)
    assert "on a device (meta)" in str(cut_note)
    assert skipped_note == "train: its first batches were not hashed: a value of class Boxes"


def test_data_that_is_read_whole_or_not_at_all_has_no_such_digest(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """
class Arrays(Samples):
    def __init__(self):
        super().__init__()
        self.data, self.targets = torch.rand(320, 3), torch.rand(320, 1)
fit(DataLoader(Arrays(), 16))
fit(DataLoader(torch.utils.data.TensorDataset(torch.rand(320, 3), torch.rand(320, 1)), 16))
"""
    assert {row[3] for row in digests(store_path, body)} == {"all"}
    for mode in ("profile", "off"):
        monkeypatch.setenv("HISTHOOKS_DATA", mode)
        other = store_path.with_name(f"{mode}.db")
        assert digests(other, "fit(DataLoader(Samples(), 16))") == []


def test_two_roles_of_one_class_and_size_show_both_digests(store_path: Path) -> None:
    record(store_path, SAMPLES + "fit(DataLoader(Samples(), 16), DataLoader(Samples(offset=5), 16))")
    found = dict.fromkeys(digest for (digest,) in query(store_path, "SELECT digest FROM dataset_digests"))
    command = [sys.executable, "-m", "histhooks", "data", "last", "--json", "--store", str(store_path)]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    assert len(found) == 2
    for role in ("train", "valid"):
        ((shown),) = [[one["digest"] for one in data["digests"]] for data in sets(told) if data["role"] == role]
        assert shown == list(found)


def sets(told: dict[str, object]) -> list[dict[str, object]]:
    found = told["datasets"] if "datasets" in told else told["data"]
    return list(found.values()) if isinstance(found, dict) else list(found)  # type: ignore[call-overload]


def test_the_command_shows_a_sample_that_is_no_identity(store_path: Path) -> None:
    body = "for seed in (1, 1, 2): fit(DataLoader(Samples(), 16, shuffle=True, generator=seeded(seed)))"
    (first, *_), *_ = digests(store_path, body)

    def told(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "histhooks", "data", *words, "--store", str(store_path)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"}
        )
        return done.returncode, done.stdout

    code, text = told("last~2")
    assert code == 2
    assert f"first batches as they passed {str(first)[:12]}: a sample" in text
    code, text = told("last~2", "last~1")
    assert code == 2
    assert "the same batches passed first, a sample of it" in text
    code, text = told("last~2", "last")
    assert code == 2
    assert "other batches passed first, a sample of it" in text


def test_training_is_the_same_with_and_without_and_no_batch_is_kept(store_path: Path) -> None:
    body = """
import gc, hashlib, json, random, weakref
import numpy, torch
from torch.utils.data import DataLoader, Dataset
class Noisy(Dataset):
    def __len__(self):
        return 200
    def __getitem__(self, at):
        return torch.rand(3), torch.rand(1) + at
def train(workers):
    torch.manual_seed(3); random.seed(3); numpy.random.seed(3)
    net = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(net.parameters(), 0.0001)
    refs, seen = [], []
    for epoch in range(2):
        for x, y in DataLoader(Noisy(), 16, shuffle=True, num_workers=workers):
            seen.append((x._version, y._version, x.requires_grad, x.stride(), sorted(vars(x))))
            refs.append(weakref.ref(x))
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(net(x), y).backward()
            optimizer.step()
    del x, y
    gc.collect()
    assert not any(ref() is not None for ref in refs)
    state = [seen, *(p.detach().numpy().tobytes() for p in net.parameters())]
    state += [torch.get_rng_state().numpy().tobytes(), repr(random.getstate()), numpy.random.get_state()[1].tobytes()]
    return hashlib.sha256(repr(state).encode()).hexdigest()
print(json.dumps([train(0), train(2)]))
"""
    with_it = run_program("import histhooks\nhisthooks.autolog('torch')\n" + body, store_path)
    without = run_program(body, store_path)
    assert with_it == without
    assert (with_it[0], len(json.loads(with_it[1]))) == (0, 2)
    assert query(store_path, "SELECT count(*) FROM dataset_digests WHERE part = 'order'") == [(2,)]
