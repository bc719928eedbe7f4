"""How PyTorch loops end, and what stands around them: hosts, compilers, ranks, notebooks, devices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import histhooks
from helpers.loops import AUTOLOG, ids, names, record, values
from helpers.networks import TORCH as DATA
from histhooks.testing import query, run_program
from histhooks.verify import verify

pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("end", "code", "status"),
    [
        ("raise ArithmeticError('odd')", 1, "failed"),
        ("raise KeyboardInterrupt", 1, "interrupted"),
        ("import os, signal; histhooks.flush(60); os.kill(os.getpid(), signal.SIGKILL)", -9, "killed"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -15, "killed"),
    ],
)
def test_steps_before_a_bad_end_are_kept_and_the_status_is_true(
    store_path: Path, end: str, code: int, status: str
) -> None:
    body = f"""
net, losses = Net(), []
optimizer = torch.optim.SGD(net.parameters(), 0.1)
for epoch in range(3):
    histhooks.flush()  # a signal leaves no time for the beginning of a session
    for number, batch in enumerate(loader):
        losses.append(step(net, optimizer, *batch))
        if (epoch, number) == (1, 3):
            print(json.dumps(losses), flush=True)
            {end}
"""
    found, out, err = run_program(AUTOLOG + DATA + body, store_path)
    assert found == code, err
    assert values(store_path, "loss") == json.loads(out)
    (run,) = histhooks.History(store_path).runs()
    assert run.status == status
    assert verify(store_path).ok
    if status in ("failed", "interrupted"):
        assert query(store_path, "SELECT epochs_done FROM runs") == [(1,)]


def test_a_loop_whose_exception_the_program_catches_is_not_called_finished(store_path: Path) -> None:
    body = """
def train():
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for number, batch in enumerate(loader):
        if number == 4:
            net(torch.ones(1, 7))
        step(net, optimizer, *batch)
try:
    train()
except RuntimeError:
    pass
"""
    record(store_path, body)
    assert query(store_path, "SELECT status, steps_done FROM runs") == [("ended", 4)]


def test_a_look_at_some_of_the_validation_data_leaves_a_loop_finished(store_path: Path) -> None:
    body = """
def train():
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for epoch in range(2):
        for batch in loader:
            step(net, optimizer, *batch)
        for batch in valid:
            net(batch[0])
            break
train()
"""
    record(store_path, body)
    assert query(store_path, "SELECT status, epochs_done FROM runs") == [("finished", 2)]


def test_steps_inside_a_host_are_the_hosts(store_path: Path) -> None:
    pytest.importorskip("lightning")
    body = """
import logging, warnings
warnings.simplefilter("ignore")
import lightning, sklearn.base
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
histhooks.autolog()
class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = Net()
    def training_step(self, batch, index):
        return torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.01)
lightning.Trainer(
    max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu"
).fit(Module(), loader)
class Estimator(sklearn.base.BaseEstimator):
    def fit(self, X, y):
        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        for _ in range(5):
            step(net, optimizer, X, y)
        return self
Estimator().fit(x, data.tensors[1])
with histhooks.paused():
    net = Net()
    step(net, torch.optim.SGD(net.parameters(), 0.1), *data[:8])
"""
    record(store_path, body)
    sql = "SELECT kind, framework, status FROM runs ORDER BY started_at, id"
    assert query(store_path, sql) == [("fit", "lightning", "finished"), ("fit", "sklearn", "finished")]
    assert "loss" not in names(store_path)


def test_compiling_makes_as_many_graphs_as_without_us(store_path: Path) -> None:
    body = """
import torch._dynamo
from torch._dynamo.testing import CompileCounter
net = Net()
optimizer = torch.optim.Adam(net.parameters(), 0.01)
def of_all(inputs, targets):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(net(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss
counts = []
for what in ("model", "loop", "optimizer"):
    torch._dynamo.reset()
    counter = CompileCounter()
    compiled = torch.compile({"model": net, "loop": of_all, "optimizer": optimizer.step}[what], backend=counter)
    for inputs, targets in loader:
        if what == "loop":
            compiled(inputs, targets)
            continue
        optimizer.zero_grad()
        torch.nn.functional.mse_loss((compiled if what == "model" else net)(inputs), targets).backward()
        (compiled if what == "optimizer" else optimizer.step)()
    counts.append([counter.frame_count, counter.op_count])
print(json.dumps(counts))
"""
    plain = run_program(DATA + body, store_path)[1]
    assert record(store_path, body) == plain
    assert query(store_path, "SELECT steps_done FROM runs") == [(24,)]
    assert len(values(store_path, "loss")) == 24


def test_two_processes_of_one_training_leave_one_run_and_two_sessions(store_path: Path) -> None:
    program = (
        AUTOLOG
        + DATA
        + """
torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()
net = torch.nn.parallel.DistributedDataParallel(Net())
optimizer = torch.optim.SGD(net.parameters(), 0.1)
sampler = torch.utils.data.DistributedSampler(data)
for epoch in range(2):
    for batch in torch.utils.data.DataLoader(data, 8, sampler=sampler):
        step(net, optimizer, *batch)
torch.distributed.destroy_process_group()
"""
    )
    Path("train.py").write_text(program)
    environment = {**os.environ, "HISTHOOKS_STORE": str(store_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "train.py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    sql = "SELECT runs.kind, model_class, epochs_done, steps_done, rank FROM runs JOIN sessions s ON s.id = session_id"
    assert query(store_path, sql) == [("loop", "__main__.Net", 2, 8, 0)]
    assert query(store_path, "SELECT rank, world_size FROM sessions ORDER BY rank") == [(0, 2), (1, 2)]
    assert len(values(store_path, "loss")) == 8
    assert verify(store_path).problems == []


@pytest.mark.parametrize("devices", [1, 2])
def test_a_loop_with_fabric_is_a_loop_as_any_other(store_path: Path, devices: int) -> None:
    pytest.importorskip("lightning")
    program = (
        "import histhooks\nhisthooks.autolog()\n"
        + DATA
        + f"""
from lightning.fabric import Fabric
fabric = Fabric(accelerator="cpu", devices={devices}, precision="bf16-mixed")
fabric.launch()
net = Net()
net, optimizer = fabric.setup(net, torch.optim.Adam(net.parameters(), 0.01))
batches, losses = fabric.setup_dataloaders(loader), []
for epoch in range(2):
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(net(inputs), targets)
        fabric.backward(loss)
        optimizer.step()
        losses.append(loss.item())
fabric.save("end.ckpt", {{"net": net}})
if fabric.global_rank == 0:
    print(json.dumps(losses))
"""
    )
    Path("train.py").write_text(program)
    environment = {**os.environ, "HISTHOOKS_STORE": str(store_path), "OMP_NUM_THREADS": "1", "HISTHOOKS_QUIET": "0"}
    done = subprocess.run([sys.executable, "train.py"], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("histhooks: recording to") == 1
    losses = json.loads(done.stdout)
    sql = "SELECT kind, status, model_class, epochs_done, steps_done FROM runs"
    assert query(store_path, sql) == [("loop", "finished", "__main__.Net", 2, len(losses))]
    assert values(store_path, "loss") == losses
    ((site,),) = query(store_path, "SELECT call_site FROM runs")
    assert str(site).startswith("train.py:")
    files = [
        (Path(str(path)).name, rest) for path, rest in query(store_path, "SELECT path, direction FROM run_artifacts")
    ]
    assert files == [("end.ckpt", "out")]
    ranks = query(store_path, "SELECT rank, world_size FROM sessions ORDER BY rank")
    assert ranks == ([(None, None)] if devices == 1 else [(0, 2), (1, 2)])


def test_processes_that_the_program_starts_leave_one_run_and_two_sessions(store_path: Path) -> None:
    program = (
        AUTOLOG
        + DATA
        + """
def train(rank):
    torch.distributed.init_process_group("gloo", init_method=sys.argv[1], rank=rank, world_size=2)
    net = torch.nn.parallel.DistributedDataParallel(Net())
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for epoch in range(2):
        for batch in loader:
            step(net, optimizer, *batch)
    torch.distributed.destroy_process_group()
if __name__ == "__main__":
    torch.multiprocessing.spawn(train, nprocs=2)
"""
    )
    Path("train.py").write_text(program)
    environment = {**os.environ, "HISTHOOKS_STORE": str(store_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "train.py", Path("meets.there").absolute().as_uri()]  # no port that others may take
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    sql = (
        "SELECT r.kind, model_class, epochs_done, steps_done, rank, r.status "
        "FROM runs AS r JOIN sessions AS s ON s.id = session_id"
    )
    assert query(store_path, sql) == [("loop", "__main__.Net", 2, 16, 0, "finished")]
    assert query(store_path, "SELECT rank, world_size FROM sessions ORDER BY rank") == [(0, 2), (1, 2)]
    assert len(values(store_path, "loss")) == 16
    assert verify(store_path).problems == []


def test_a_loop_in_a_notebook_ends_with_its_cell(store_path: Path) -> None:
    pytest.importorskip("IPython")
    body = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.user_ns.update(globals())
cells = [
    "net = Net(); optimizer = torch.optim.SGD(net.parameters(), 0.1)",
    "for batch in loader: step(net, optimizer, *batch)",
    "for batch in loader: step(net, optimizer, *batch)\\n1 / 0",
]
for cell in cells:
    shell.run_cell(cell)
"""
    record(store_path, body)
    sql = "SELECT kind, status, steps_done, error_type FROM runs ORDER BY started_at, id"
    expected = [("loop", "finished", 8, None), ("loop", "failed", 8, "ZeroDivisionError")]
    assert query(store_path, sql) == expected
    runs = ids(store_path)
    assert query(store_path, "SELECT run_id, kind, other_run_id FROM run_links") == [(runs[1], "continues", runs[0])]


def test_numbers_on_their_way_keep_their_order_and_what_must_not_overtake_them() -> None:
    import torch

    from histhooks._record.device_readings import OnDevice, Reading, Waiting
    from histhooks._record.run import Run

    class Slow(OnDevice):
        """A number whose arrival the test decides; a CPU tensor has no event."""

        __slots__ = ("here",)

        def __init__(self, number: float) -> None:
            self.copy, self.here = torch.tensor(number), False

        def is_ready(self) -> bool:
            return self.here

    with pytest.raises(TypeError, match="of type meta"):
        OnDevice(torch.empty((), device="meta"))
    run = Run(None, {"name": "any"})
    run.id = "a"
    first, second = Slow(1.0), Slow(3.0)
    entries = [
        ("later", Reading(run, "loss", [first, 2.0], 0, None, 5)),
        ("later", Reading(run, "loss", [second], 1, None, 6)),
        ("row", "events", "a", {}),
        ("forget", "a"),
        ("after", print),
        ("forget", "b"),
    ]
    waiting, again = Waiting(), []
    assert waiting.sift(entries, again.append) == [("row", "events", "a", {}), ("forget", "b")]
    assert again == [("forget", "a"), ("after", print)]
    second.here = True
    assert waiting.ready() == []
    first.here = True
    assert waiting.ready() == [(run, {"loss": 1.5}, 0, None, 5), (run, {"loss": 3.0}, 1, None, 6)]
    assert len(waiting) == 0
    assert waiting.sift(again, print) == again


def test_a_seam_that_moves_is_noticed() -> None:
    import inspect

    import torch
    from torch.optim.optimizer import Optimizer
    from torch.utils.data import dataloader

    from histhooks.integrations.torch._hooks import PARAMETERS

    assert "torch.autograd.backward(" in inspect.getsource(torch.Tensor.backward)
    assert tuple(inspect.signature(torch.autograd.backward).parameters) == PARAMETERS
    assert "_global_optimizer_post_hooks" in inspect.getsource(Optimizer.profile_hook_step)
    assert "__next__" in vars(dataloader._BaseDataLoaderIter)
    for kind in (dataloader._SingleProcessDataLoaderIter, dataloader._MultiProcessingDataLoaderIter):
        assert issubclass(kind, dataloader._BaseDataLoaderIter)
        assert "__next__" not in vars(kind)
    assert "self._dataset = loader.dataset" in inspect.getsource(dataloader._BaseDataLoaderIter)
    for name in ("ReduceLROnPlateau", "SequentialLR", "ChainedScheduler"):
        assert "__init__" in vars(getattr(torch.optim.lr_scheduler, name))
    assert torch.cuda.amp.GradScaler.step is torch.amp.GradScaler.step
    for name in ("capture_begin", "capture_end"):
        assert inspect.isfunction(vars(torch.cuda.CUDAGraph)[name])
