"""Files that PyTorch loops began with: what they are linked as, and to whom."""

from __future__ import annotations

from pathlib import Path

import pytest

import histhooks
from helpers.loops import AUTOLOG, ids, record
from helpers.networks import TORCH as DATA
from histhooks.testing import query, run_program
from histhooks.verify import verify

pytest.importorskip("torch")

LINKS = "SELECT run_id, kind, other_run_id, path FROM run_links JOIN run_artifacts USING (run_id, sha256) ORDER BY path"
TRAIN = """
import os, signal, sys, time
net = Net()
optimizer = torch.optim.{optimizer}
begin = 0
{recording}
if os.path.exists("last.pt"):
    saved = torch.load("last.pt")
    net.load_state_dict(saved["net"])
    optimizer.load_state_dict(saved["optimizer"])
    begin = saved["epoch"]
for epoch in range(begin, 4):
    for batch in loader:
        step(net, optimizer, *batch)
    saved = {{"seen": [*range(5000)], "net": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch + 1}}
    torch.save(saved, "last.pt")
    if epoch == 1:
        histhooks.flush(60)
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("optimizer", "recording"),
    [
        ("Adam(net.parameters(), 0.01)", ""),
        ("SGD(net.parameters(), 0.1)", "histhooks.start_run('mine').__enter__()"),
    ],
)
def test_a_training_that_was_killed_and_resumed_is_two_attempts_of_one(
    store_path: Path, optimizer: str, recording: str
) -> None:
    program = AUTOLOG + DATA + TRAIN.format(optimizer=optimizer, recording=recording)
    codes = [run_program(program, store_path)[0] for _ in range(2)]
    assert codes == [-9, 0]
    first, second = ids(store_path)
    ((run, kind, other, path),) = query(store_path, f"{LINKS.partition(' ORDER')[0]} WHERE direction = 'in'")
    assert (run, kind, other, Path(str(path)).name) == (second, "resumes", None, "last.pt")
    with histhooks.History(store_path) as history:
        assert [attempt.id for attempt in history.run("last").attempts] == [first, second]
    assert verify(store_path).ok


def test_only_what_reached_the_loop_is_linked_and_as_what_it_was(store_path: Path) -> None:
    body = """
net = Net()
torch.save(net.state_dict(), "whole.pt")
torch.save(Net(), "module.pt")
torch.save(Net().hidden.state_dict(), "part.pt")
torch.save(torch.ones(3), "data.pt")
def train(net, changes=lambda: None):
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(2):
        step(net, optimizer, *data[:8])
        changes()
whole, data_file = torch.load("whole.pt"), torch.load("data.pt")
continued, teacher = Net(), Net()
continued.load_state_dict(whole)
teacher.load_state_dict(torch.load("module.pt", weights_only=False).state_dict())
train(continued)
train(torch.load("module.pt", weights_only=False))
tuned = Net()
tuned.hidden.load_state_dict(torch.load("part.pt"))
train(tuned)
other = Net()
train(other, lambda: other.load_state_dict(whole))
rewritten = Net()
rewritten.load_state_dict(torch.load("part.pt") | whole, strict=False)
torch.save(1, "part.pt")
torch.save(2, "whole.pt")
train(rewritten)
"""
    record(store_path, body)
    runs = ids(store_path)
    rows = query(store_path, "SELECT run_id, kind, other_run_id FROM run_links ORDER BY time")
    assert rows == [(runs[0], "continues", None), (runs[1], "continues", None), (runs[2], "fine-tunes", None)]
