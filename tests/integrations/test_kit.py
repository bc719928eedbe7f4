"""What an integration is written with."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

import histhooks
from histhooks.integrations import kit
from histhooks.testing import query


def test_the_kit_has_these_names_and_no_others() -> None:
    names = (
        "ForkLock Integration NotApplicable Patches Run UnansweredError answer as_float ask bind call_site callers "
        "class_name current_run ensure_session gathered guarded is_recording is_shuffled is_task log_split no_longer "
        "not_recorded open_run outer_run owner_of parameters_of recorded_as require scope settings_of splits task "
        "when_imported"
    )
    assert kit.__all__ == names.split()
    assert all(hasattr(kit, name) for name in kit.__all__)


@pytest.mark.parametrize("version", ["1.2", "1.10.0", "2.0.0rc1", "1.2.3+cu121"])
def test_a_version_that_is_new_enough_is_taken(version: str) -> None:
    kit.require("Example", version, (1, 2))


def test_a_version_that_is_too_old_is_refused_with_the_one_that_is_needed() -> None:
    with pytest.raises(histhooks.NotApplicable, match=r"^Example 1\.1\.9 is too old; 1\.2 or newer is needed$"):
        kit.require("Example", "1.1.9", (1, 2))


def test_the_versions_of_frameworks_that_histhooks_brings_an_integration_for_are_known() -> None:
    kit.require("sklearn", "1.6.0")
    with pytest.raises(histhooks.NotApplicable, match=r"^scikit-learn 1\.5\.2 is too old; 1\.6 or newer is needed$"):
        kit.require("sklearn", "1.5.2")


def test_a_block_is_recorded_as_a_run_that_is_current_inside_and_ends_with_it(store_path: Path) -> None:
    histhooks.autolog(store=store_path)
    outside = histhooks.current_run()
    with kit.recorded_as(kit.open_run(kind="fit", framework="example"), lambda run: run.log({"last": 1})) as run:
        assert histhooks.current_run() is run is kit.outer_run()
        assert kit.is_recording()
    assert run.status == "finished"
    assert histhooks.current_run() is outside
    histhooks.flush()
    assert query(store_path, "SELECT framework, kind, status FROM runs") == [("example", "fit", "finished")]
    assert query(store_path, "SELECT name FROM metrics WHERE name = 'last'") == [("last",)]


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("diverged"), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_what_a_block_raises_passes_bare_and_the_run_ends_with_it(
    error: BaseException, status: str, store_path: Path
) -> None:
    histhooks.autolog(store=store_path)
    run, finished = kit.open_run(kind="fit"), []
    with pytest.raises(type(error)) as caught, kit.recorded_as(run, finished.append):
        raise error
    assert caught.value is error
    assert run.status == status
    assert finished == []


def test_a_block_of_the_program_is_no_fit_that_goes_on(store_path: Path) -> None:
    histhooks.autolog(store=store_path)
    with histhooks.start_run("mine"):
        assert kit.outer_run() is None
        with kit.scope(run := kit.open_run(kind="fit")):
            assert kit.outer_run() is run
        run.end()
    assert kit.outer_run() is None


def test_defaults_and_classes_are_read() -> None:
    def train(data: object, rounds: int = 10, *, rate: float = 0.5) -> None: ...

    assert kit.parameters_of(train).defaults == {"rounds": 10, "rate": 0.5}
    assert kit.parameters_of(train).names == ("data", "rounds", "rate")
    assert kit.parameters_of(object()).names == ()  # type: ignore[arg-type]
    assert kit.class_name(Path()) == f"{type(Path()).__module__}.{type(Path()).__qualname__}"


def test_what_is_logged_before_and_after_a_block_stands_inside_it(store_path: Path) -> None:
    histhooks.autolog(store=store_path)
    steps: list[str] = []

    def note(word: str) -> Callable[[kit.Run], None]:
        return lambda run: steps.append(f"{word} {run.status}")

    run = kit.open_run(kind="fit")
    with kit.recorded_as(run, note("finish"), begin=note("begin"), fail=note("fail")):
        steps.append("block")
    failing = kit.open_run(kind="fit")
    with pytest.raises(ValueError), kit.recorded_as(failing, note("finish"), begin=note("begin"), fail=note("fail")):  # noqa: PT011
        raise ValueError
    assert steps == ["begin running", "block", "finish running", "begin running", "fail running"]
    assert (run.status, failing.status) == ("finished", "failed")
    with kit.recorded_as(None, note("never")) as nothing:
        assert nothing is None


def owned(name: str, base: type = object, module: str = "mine") -> type:
    return type(name, (base,), {"__module__": module})


def test_a_class_is_of_the_framework_that_claims_its_base_or_defines_it() -> None:
    booster = owned("XGBModel", module="xgboost.sklearn")
    assert kit.owner_of(booster) == kit.owner_of(owned("Mine", booster)) == ("xgboost", False, True)
    network = owned("SKLearnClassifier", module="keras.src.wrappers")
    assert kit.owner_of(network) == ("keras", False, False)
    assert kit.owner_of(owned("Module", module="pytorch_lightning.core")) == ("lightning", False, False)
    assert kit.owner_of(owned("Mine", network)) is kit.owner_of(owned("Mine")) is None


def test_an_error_that_is_known_by_its_text_is_masked_and_cut(store_path: Path) -> None:
    histhooks.autolog(store=store_path)
    secret = "ghp_" + "a1B2" * 9
    run = kit.open_run(kind="candidate")
    run.end("failed", error_type="ValueError", error_message=secret, traceback=f"{'x' * 60_000}\n{secret}")
    histhooks.flush()
    ((message, text),) = query(store_path, "SELECT error_message, traceback FROM runs")
    assert secret not in f"{message}{text}"
    assert len(str(text)) == 50_000


def test_a_run_that_a_program_ranks_is_ranked_by_nothing_else(store_path: Path) -> None:
    histhooks.autolog(store=store_path)
    kit.open_run(kind="fit").rank_by("val_loss")
    histhooks.autolog(metric="mine")
    kit.open_run(kind="fit").rank_by("val_loss")
    histhooks.flush()
    assert query(store_path, "SELECT main_metric FROM runs ORDER BY rowid") == [("val_loss",), ("mine",)]


def test_a_link_to_a_file_has_its_hash(store_path: Path, tmp_path: Path) -> None:
    histhooks.autolog(store=store_path)
    (tmp_path / "model.bin").write_bytes(b"weights")
    run = kit.open_run(kind="fit")
    run.link("continues", None, path=tmp_path / "model.bin")
    run.end()
    histhooks.flush()
    digest = hashlib.sha256(b"weights").hexdigest()
    assert query(store_path, "SELECT kind, other_run_id, sha256 FROM run_links") == [("continues", None, digest)]


def test_callers_are_modules_of_the_program() -> None:
    def ask() -> list[str]:
        return list(kit.callers())

    assert ask()[0] == __name__
    assert not any(name.startswith("histhooks") for name in ask())
