"""Which frameworks `autolog()` knows, and what it does with one that cannot work."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import histhooks
from histhooks import integrations
from histhooks.testing import query, run_program

ANOTHER = """
__version__ = "1.2.0rc1"

def train(fails=False):
    if fails:
        raise ValueError("diverged")
    return 42
"""
OUTSIDE = """
import another_framework
from histhooks.integrations import kit

patches = kit.Patches()

def around(original, args, kwargs):
    run = kit.open_run(kind="fit", framework="another_framework", model_class="Net")
    with kit.recorded_as(run):
        return original(*args, **kwargs)

def install():
    kit.require("Another", another_framework.__version__, (1, 2))
    patches.wrap(another_framework, "train", around)

integration = kit.Integration("another_framework", install, patches.undo)
"""

# Each imports what is ours before its framework, which so comes in by way of a module of ours that is half loaded.
OURS_FIRST = {
    "sklearn": """
        from histhooks.integrations.sklearn import recorded
        from sklearn.linear_model import Ridge
        Ridge().fit([[0.0], [1.0]], [0.0, 1.0])
    """,
    "xgboost": """
        from histhooks.integrations.xgboost import HistoryCallback
        import numpy, xgboost
        xgboost.train({}, xgboost.DMatrix(numpy.eye(4), [0, 1, 0, 1]), 1)
    """,
    "keras": """
        from histhooks.integrations.keras import HistoryCallback
        import keras, numpy
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(numpy.ones((4, 1)), numpy.ones(4), verbose=0)
    """,
    "lightning": """
        from histhooks.integrations.lightning import HistoryCallback
        import lightning.pytorch as pl
        from lightning.pytorch.demos.boring_classes import BoringModel
        pl.Trainer(max_steps=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
                   enable_model_summary=False, accelerator="cpu", limit_val_batches=0).fit(BoringModel())
    """,
    "torch": """
        from histhooks.integrations.torch import record
        import torch
        layer = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            layer(torch.ones(2, 1)).sum().backward()
            optimizer.step()
    """,
}


@pytest.mark.parametrize("how", ["autolog()", "histhooks run"])
@pytest.mark.parametrize("framework", OURS_FIRST)
def test_what_is_ours_may_be_imported_before_the_framework(framework: str, how: str, store_path: Path) -> None:
    pytest.importorskip(framework)
    program = textwrap.dedent(OURS_FIRST[framework])
    if how == "autolog()":
        code, _, err = run_program("import histhooks\nhisthooks.autolog()\n" + program, store_path)
    else:
        Path("train.py").write_text(program)
        command = [sys.executable, "-m", "histhooks", "run", "--store", str(store_path), "train.py"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        code, err = done.returncode, done.stderr
    assert code == 0, err
    assert "a hook failed" not in err
    assert query(store_path, "SELECT framework, status FROM runs") == [(framework, "finished")]
    assert query(store_path, "SELECT hook_errors FROM sessions") == [(0,)]


def test_an_integration_is_reached_through_the_package_and_brings_its_framework_in_only_then(store_path: Path) -> None:
    pytest.importorskip("torch")
    program = """
        import sys
        import histhooks
        histhooks.integrations
        assert "torch" not in sys.modules
        assert not hasattr(histhooks.integrations, "nothing")
        record = histhooks.integrations.torch.record
        import torch
        layer = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        with record(optimizer, model=layer) as run:
            layer(torch.ones(2, 1)).sum().backward()
            optimizer.step()
    """
    code, _, err = run_program(program, store_path)
    assert code == 0, err
    assert query(store_path, "SELECT framework, status FROM runs") == [("torch", "finished")]


def test_an_unknown_name_is_an_error_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"unknown framework 'sklearm'; known are sklearn, xgboost, keras"):
        histhooks.autolog("sklearm")
    assert integrations.installed() == ()


def test_an_alias_means_the_same() -> None:
    pytest.importorskip("sklearn")

    histhooks.autolog("scikit-learn")
    assert "sklearn" in integrations.installed()
    histhooks.disable()
    assert integrations.installed() == ()


def test_a_framework_asked_for_by_name_that_is_not_installed_is_an_error() -> None:
    program = """
        import sys
        class Blocker:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "sklearn":
                    raise ModuleNotFoundError(name)
        sys.meta_path.insert(0, Blocker())
        import histhooks
        histhooks.autolog()
        try:
            histhooks.autolog("sklearn")
        except histhooks.NotApplicable as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert done.stdout == "sklearn is not installed here; install it, or leave it out of autolog()\n"


def test_a_version_that_is_too_old_is_left_out_by_autolog_and_an_error_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import sklearn

    monkeypatch.setattr(sklearn, "__version__", "1.1.0")
    histhooks.autolog()
    assert "sklearn" not in integrations.installed()
    with pytest.raises(histhooks.NotApplicable, match=r"1\.1\.0 is too old"):
        histhooks.autolog("sklearn")


def test_an_outside_package_joins_through_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    info = site / "another_histhooks-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "another_framework.py").write_text(ANOTHER)
    (site / "another_histhooks.py").write_text(OUTSIDE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: another-histhooks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[histhooks.integrations]\nanother_framework = another_histhooks:integration\n"
    )
    program = """
        import histhooks, sys
        histhooks.autolog()
        assert "another_histhooks" not in sys.modules
        import another_framework
        original = another_framework.train
        assert another_framework.train() == 42
        histhooks.disable()
        assert another_framework.train is original
        histhooks.autolog("another_framework")
        try:
            another_framework.train(fails=True)
        except ValueError as error:
            assert str(error) == "diverged"
    """
    store = tmp_path / "histhooks.db"
    code, _, err = run_program(program, store, PYTHONPATH=str(site))
    assert code == 0, err
    sql = "SELECT framework, kind, status, model_class FROM runs ORDER BY id"
    assert query(store, sql) == [("another_framework", "fit", status, "Net") for status in ("finished", "failed")]
    assert query(store, "SELECT hook_errors FROM sessions") == [(0,)]
