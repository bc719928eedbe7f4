"""Which frameworks `autolog()` knows, and what it does with one that cannot work."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import histhooks
from histhooks import integrations
from histhooks.testing import query, run_program

OUTSIDE = """
import another_framework
from histhooks import recorder
from histhooks._patching import Patches
from histhooks.integrations import Integration

patches = Patches()

def around(original, args, kwargs):
    run = recorder.open_run(kind="fit", framework="another_framework", model_class="Net")
    with recorder.scope(run):
        result = original(*args, **kwargs)
    run.end()
    return result

def install():
    patches.wrap(another_framework, "train", around)

integration = Integration("another_framework", install, patches.undo)
"""


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
    (site / "another_framework.py").write_text("def train():\n    return 42\n")
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
        original = another_framework.train.__wrapped__
        assert another_framework.train() == 42
        histhooks.disable()
        assert another_framework.train is original
        histhooks.autolog("another_framework")
        another_framework.train()
    """
    store = tmp_path / "histhooks.db"
    code, _, err = run_program(program, store, PYTHONPATH=str(site))
    assert code == 0, err
    sql = "SELECT framework, kind, status, model_class FROM runs"
    assert query(store, sql) == [("another_framework", "fit", "finished", "Net")] * 2
