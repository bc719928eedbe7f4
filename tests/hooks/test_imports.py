"""Waiting for an import: the order does not matter, and no import is ever caused."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from histhooks._hooks.imports import no_longer, when_imported


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of a package that can be imported and was not."""
    unique = f"late_{request.node.name}"
    (tmp_path / f"{unique}.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    return unique


def test_a_module_that_is_there_is_given_at_once() -> None:
    seen: list[ModuleType] = []
    when_imported("json", seen.append)
    assert seen == [sys.modules["json"]]


def test_a_module_that_comes_later_is_given_whole_and_once(name: str) -> None:
    seen: list[object] = []
    when_imported(name, lambda module: seen.append(module.value))
    assert name not in sys.modules
    assert seen == []
    __import__(name)
    __import__(name)
    assert seen == [1]


def test_who_waits_no_longer_is_not_called(name: str) -> None:
    seen: list[ModuleType] = []
    when_imported(name, seen.append)
    no_longer(name)
    __import__(name)
    assert seen == []


def test_who_waits_again_is_called_once(name: str) -> None:
    seen: list[str] = []
    when_imported(name, lambda module: seen.append("first"))
    no_longer(name)
    when_imported(name, lambda module: seen.append("second"))
    __import__(name)
    assert seen == ["second"]


def test_several_can_wait_for_one_module_and_each_stops_alone(name: str) -> None:
    seen: list[str] = []
    for who in ("first", "second", "third"):
        when_imported(name, lambda module, who=who: seen.append(who), who)
    no_longer(name, "second")
    __import__(name)
    assert seen == ["first", "third"]


def test_a_failure_of_ours_does_not_reach_the_import(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTHOOKS_STRICT", "")

    def fail(module: ModuleType) -> None:
        raise RuntimeError("ours")

    when_imported(name, fail)
    assert __import__(name).value == 1
