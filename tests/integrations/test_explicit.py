"""What is recorded on request is what `autolog()` records."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.networks import KERAS, LIGHTNING, TORCH
from histhooks.testing import query, run_program

RECORDS = (
    "SELECT kind, framework, status, model_class, main_metric, epochs_planned, epochs_done, steps_done FROM runs",
    "SELECT key, value, source FROM params WHERE key != 'callbacks' ORDER BY key",
    "SELECT name, metric, split, step, epoch, value FROM metrics WHERE split != 'system' ORDER BY name, n",
    "SELECT position, class_name, settings, scheduler FROM optimizers ORDER BY position",
    "SELECT position, n_parameters, lr, settings, step FROM optimizer_groups ORDER BY step, position",
    "SELECT role, dataset_id FROM run_datasets ORDER BY role",
    "SELECT id FROM architectures",
    "SELECT path, role, direction, step FROM run_artifacts ORDER BY path",
    "SELECT key, value FROM results ORDER BY key",
)
PROGRAMS = {
    "keras": (
        KERAS,
        "from histhooks.integrations.keras import HistoryCallback",
        """
given = [keras.callbacks.EarlyStopping("val_loss", patience=1), keras.callbacks.ModelCheckpoint("{epoch}.keras")]
build("adam").fit(x, y, epochs=3, verbose=0, validation_split=0.2, callbacks=[*given, OURS])
""",
        "HistoryCallback()",
        "keras.callbacks.Callback()",
    ),
    "lightning": (
        LIGHTNING.format(root="lightning.pytorch"),
        "from histhooks.integrations.lightning import HistoryCallback",
        """
saving = pl.callbacks.ModelCheckpoint("kept", monitor="val_loss")
trainer(enable_checkpointing=True, callbacks=[saving, *OURS]).fit(Net(width=5), data, data)
""",
        "[HistoryCallback()]",
        "[]",
    ),
    "torch": (
        TORCH,
        "from contextlib import nullcontext\nfrom histhooks.integrations.torch import record",
        """
def train():
    net = Net()
    optimizer = torch.optim.AdamW(net.parameters(), 0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    with OURS:
        for epoch in range(3):
            for batch in loader:
                step(net, optimizer, *batch)
            scheduler.step()
            with torch.no_grad():
                for inputs, _ in valid:
                    net(inputs)
        torch.save(net.state_dict(), "end.pt")
train()
""",
        "record(optimizer, net)",
        "nullcontext()",
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_training_that_is_recorded_on_request_leaves_the_same(tmp_path: Path, name: str) -> None:
    pytest.importorskip(name)
    data, imports, body, ours, nothing = PROGRAMS[name]
    found = []
    for how in ("automatic", "explicit"):
        store = tmp_path / how / "histhooks.db"
        store.parent.mkdir()
        begin = "import histhooks\nhisthooks.autolog()\n" if how == "automatic" else ""
        program = begin + data + imports + body.replace("OURS", nothing if begin else ours)
        code, _, err = run_program(program, store)
        assert code == 0, err
        rows = {sql: query(store, sql) for sql in RECORDS}
        found.append({sql: [tuple(str(v).replace(how, "") for v in row) for row in rows[sql]] for sql in rows})
    for sql in RECORDS:
        assert found[0][sql] == found[1][sql], sql
    assert all(found[0][sql] for sql in RECORDS[:7])
