"""The modules and names that other people's programs rely on; tests/typing/api.py holds their types."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import histhooks
from histhooks import integrations
from histhooks.history import RunRecord, Runs, Summaries, Summary

MODULES = (
    "checks cli curate errors evidence export history integrations migrations models monitor plot recorder report "
    "reproduce team testing ui verify"
)
INTEGRATIONS = "keras kit lightning sklearn torch xgboost"
# What they say is public, word for word.
NAMES = {
    "histhooks": "HisthooksError History NotApplicable QueryError Run StoreError __version__ autolog current_run "
    "disable flush "
    "log log_artifact log_metric log_metrics log_param log_params observe paused set_tag set_tags start_run watch",
    "histhooks.curate": "Deletion Pruning Redaction delete note prune redact rename save_checks tag untag waive",
    "histhooks.evidence": "Keys Pack PackReport Signature Witness keygen pack sign verify_pack witness",
    "histhooks.export": "Exported export",
    "histhooks.history": "Agreement Artifact Artifacts Changes Comparison Content ContentUse Curve "
    "DataComparison Differences History "
    "Lineage LineageFold LineageLink LineageNode Live Model ModelEvent ModelVersion RunRecord Runs Series Summaries "
    "Summary Timeline TimelineRow",
    "histhooks.models": "Promotion Rollback approve demote path promote register reject restore retire rollback",
    "histhooks.plot": "Chart plot spark_svg svg_curves",
    "histhooks.recorder": "Run call_site current_run ensure_session flush is_recording is_task log log_artifact "
    "log_metric log_metrics "
    "log_param log_params main_metric note_capture note_rank open_run paused scope set_tag set_tags splits "
    "start_run task",
    "histhooks.report": "page_of report",
    "histhooks.team": "Evicted ForkError Merged Pulled Pushed Status TeamError evict grant init merge pull push revoke "
    "status upgrade",
    "histhooks.ui": "app serve",
    "histhooks.verify": "CANNOT_PROVE Report verify",
    "histhooks.checks": "CannotTell Check Config Finding Skip Unknown Verdict all_checks check risks",
    "histhooks.monitor": "Change Report Score Signal Window accept from_file judge",
    "histhooks.reproduce": "Bisection Blocker Plan Reproduction Trial bisect execute plan restore",
}
METHODS = {
    histhooks.Run: "declare_metric end event link log log_artifact log_dataset log_metric log_metrics log_param "
    "log_params log_results note set_tag set_tags tag",
    histhooks.History: "compare compare_data content diff lineage model models run runs search sql table version",
    Runs: "rows to_pandas",
    Summaries: "get main names to_pandas",
    Summary: "best best_epoch best_step value",
    RunRecord: "artifacts children datasets metrics overlaps params series splits summaries to_pandas transforms "
    "weights",
}
# Frameworks may be missing where this runs, so these are read and not imported.
OF_FRAMEWORKS = {
    "keras": "HistoryCallback integration",
    "lightning": "HistoryCallback integration",
    "sklearn": "integration recorded",
    "torch": "integration record",
    "xgboost": "HistoryCallback integration",
}


def public_in(package: object) -> list[str]:
    paths = package.__path__  # type: ignore[attr-defined]
    return sorted(module.name for module in pkgutil.iter_modules(paths) if not module.name.startswith("_"))


def test_the_public_modules_are_these() -> None:
    assert public_in(histhooks) == MODULES.split()
    assert public_in(integrations) == INTEGRATIONS.split()


@pytest.mark.parametrize("module", NAMES)
def test_a_module_says_which_of_its_names_are_public(module: str) -> None:
    found = importlib.import_module(module)
    assert sorted(found.__all__) == sorted(NAMES[module].split())
    assert [name for name in found.__all__ if not hasattr(found, name)] == []


def test_import_histhooks_is_enough_for_every_module_that_the_reference_names() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "reference" / "python.md"
    sentence = re.search(r"and the modules\s([^.]*)\.", page.read_text(encoding="utf-8"))
    assert sentence is not None
    named = re.findall(r"`(\w+)`", sentence[1])
    others = ("cli", "errors", "migrations", "recorder")
    assert sorted(named) == [name for name in MODULES.split() if name not in others]
    program = f"import histhooks; print([name for name in {named} if not hasattr(histhooks, name)])"  # a fresh process
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_errors_are_one_family() -> None:
    for name in ("NotApplicable", "QueryError", "StoreError"):
        assert issubclass(getattr(histhooks.errors, name), histhooks.errors.HisthooksError)


@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.__name__)
def test_what_can_be_asked_of_an_object_stays(kind: type) -> None:
    assert [name for name in METHODS[kind].split() if not hasattr(kind, name)] == []


@pytest.mark.parametrize("name", OF_FRAMEWORKS)
def test_an_integration_has_its_names(name: str) -> None:
    path = Path(integrations.__path__[0]) / name / "__init__.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    assert set(OF_FRAMEWORKS[name].split()) <= names
