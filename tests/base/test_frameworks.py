"""What a framework is stands once, and the pages and the package metadata agree with it."""

import tomllib
from pathlib import Path

import pytest

from histhooks import integrations
from histhooks._base.frameworks import FRAMEWORKS

ROOT = Path(__file__).resolve().parents[2]


def test_every_framework_has_an_integration() -> None:
    assert integrations.available() == tuple(FRAMEWORKS)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_extra_installs_what_is_recorded(name: str) -> None:
    framework = FRAMEWORKS[name]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras[name] == ["{}>={}.{}".format(framework.distribution, *framework.minimum), *framework.requires]


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_readme_names_the_versions(name: str) -> None:
    framework = FRAMEWORKS[name]
    oldest, tested = "{}.{}".format(*framework.minimum), ".".join(framework.tested.split(".")[:2])
    start = f"| {framework.title} {oldest} and newer (tested with {tested}"
    assert any(line.startswith(start) for line in (ROOT / "README.md").read_text().splitlines())
