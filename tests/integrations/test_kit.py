"""What an integration is written with."""

from pathlib import Path

import pytest

import histhooks
from histhooks.integrations import kit
from histhooks.testing import query


def test_the_kit_has_these_names_and_no_others() -> None:
    names = (
        "Integration NotApplicable Patches Run bind call_site class_name defaults_of gathered guarded is_recording "
        "is_task no_longer open_run outer_run recorded_as require scope task when_imported"
    )
    assert kit.__all__ == names.split()
    assert all(hasattr(kit, name) for name in kit.__all__)


@pytest.mark.parametrize("version", ["1.2", "1.10.0", "2.0.0rc1", "1.2.3+cu121"])
def test_a_version_that_is_new_enough_is_taken(version: str) -> None:
    kit.require("Example", version, (1, 2))


def test_a_version_that_is_too_old_is_refused_with_the_one_that_is_needed() -> None:
    with pytest.raises(histhooks.NotApplicable, match=r"^Example 1\.1\.9 is too old; 1\.2 or newer is needed$"):
        kit.require("Example", "1.1.9", (1, 2))


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

    assert kit.defaults_of(train) == {"rounds": 10, "rate": 0.5}
    assert kit.defaults_of(object()) == {}  # type: ignore[arg-type]
    assert kit.class_name(Path()) == f"{type(Path()).__module__}.{type(Path()).__qualname__}"
