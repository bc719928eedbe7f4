"""Which frameworks can be recorded, and how each is begun and ended.

A built-in integration is a module of this package, imported only once the program has imported its framework. An
outside package adds one through the entry-point group ``histhooks.integrations``: the entry's name is the import name
to wait for, and it leads to an :class:`Integration`.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from histhooks import recorder
from histhooks._base.exceptions import in_words
from histhooks._base.frameworks import FRAMEWORKS, NAMES
from histhooks._collect import packages
from histhooks._hooks import mlflow
from histhooks._hooks.imports import no_longer, when_imported
from histhooks._host.guard import guarded
from histhooks._host.messages import warn_once
from histhooks._host.store_location import is_strict
from histhooks._record import file_reads, parsers, seeds
from histhooks.errors import NotApplicable

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "histhooks.integrations"
CHOICES = tuple(FRAMEWORKS)


@dataclass(frozen=True, slots=True)
class Integration:
    """One framework.

    Attributes
    ----------
    name : str
        Its name for ``autolog()``.
    install : callable
        Puts the hooks in; raises :class:`NotApplicable` where it cannot.
    uninstall : callable
        Takes them out, by identity.
    classes : tuple of str
        Packages whose classes are recorded by this integration wherever a program derives from them; another one, such
        as that of scikit-learn for an estimator, leaves them to it. What is defined in the framework itself is left to
        it in any case.
    """

    name: str
    install: Callable[[], None]
    uninstall: Callable[[], None]
    classes: tuple[str, ...] = ()


class Owner(NamedTuple):
    """Whose a class is.

    Attributes
    ----------
    name : str
        The framework, by its name for ``autolog()``.
    is_recorded : bool
        Whether its hooks are in.
    is_derived_too : bool
        Whether what derives from its classes is its own, too.
    """

    name: str
    is_recorded: bool
    is_derived_too: bool


_BY_IMPORT = {import_name: name for name, framework in FRAMEWORKS.items() for import_name in framework.import_names}
# By package: the integration that records what derives from its classes. Other packages add their own.
_claimed = {package: name for name, framework in FRAMEWORKS.items() for package in framework.classes}

_installed: dict[str, Integration] = {}
_wanted: set[str] = set()
# A program that imports our module first brings the framework in by way of it: install once ours is complete.
_half_loaded: dict[str, Callable[[ModuleType], None]] = {}


def available() -> tuple[str, ...]:
    """Names of the built-in integrations that this version has."""
    return tuple(name for name in CHOICES if importlib.util.find_spec(_module_name(name)) is not None)


def installed() -> tuple[str, ...]:
    """Names of the integrations whose hooks are in."""
    return tuple(_installed)


def owner_of(kind: type) -> Owner | None:
    """The framework that a class belongs to: it claims what derives from its own classes, or defines the class.

    Parameters
    ----------
    kind : type
        Of which no more is read than the modules that it and its bases say they are from.

    Returns
    -------
    Owner or None
        None for a class of the program, or of a package that no integration is for.
    """
    packages = [_package_of(base) for base in kind.__mro__]
    name = next((_claimed[package] for package in packages if package in _claimed), None)
    if name is not None:
        return Owner(name, name in _installed, True)
    own = packages[0]
    name = _BY_IMPORT.get(own, own if own in _installed else None)
    return None if name is None else Owner(name, name in _installed, False)


def _package_of(kind: type) -> str:
    module = vars(kind).get("__module__")
    return module.partition(".")[0] if isinstance(module, str) else ""


def not_recorded(collector: str, key: str, text: str) -> None:
    """Say once, here and in the record, what is not recorded, and why.

    Parameters
    ----------
    collector : str
        For `captures`, whose status is `skipped`.
    key : str
        Under which a second warning of this process is left out.
    text : str
        What, and why.
    """
    warn_once(key, text)
    recorder.note_capture(collector, "skipped", text)


def enable(*names: str) -> None:
    """Begin to record frameworks; see :func:`histhooks.autolog`."""
    asked = [NAMES.get(name, name) for name in names]
    entries = _entry_points()
    choices = [*CHOICES, *(name for name in entries if name not in CHOICES)]
    for name, given in zip(asked, names, strict=True):
        if name not in choices:
            raise ValueError(f"unknown framework {given!r}; known are {', '.join(choices)}")
    for name in asked:
        _require(name, entries)
    seeds.install()
    parsers.install()
    file_reads.install()
    mlflow.install()
    for name in asked or [*available(), *entries]:
        _wanted.add(name)
        install = _installer(name, entries.get(name), is_asked=bool(asked))
        for import_name in _import_names(name):
            when_imported(import_name, install)
        if name not in entries and name not in _installed:
            # Asked for now, since an import that has begun can be waited for no more.
            when_imported(_module_name(name), _completer(name))


def disable_all() -> None:
    """Take all hooks out and wait for no framework any more."""
    for name in list(_wanted):
        for import_name in _import_names(name):
            no_longer(import_name)
        no_longer(_module_name(name))
    _wanted.clear()
    _half_loaded.clear()
    seeds.uninstall()
    parsers.uninstall()
    file_reads.uninstall()
    mlflow.uninstall()
    while _installed:
        _, integration = _installed.popitem()
        for package in integration.classes:
            _claimed.pop(package, None)
        integration.uninstall()


def _require(name: str, entries: dict[str, EntryPoint]) -> None:
    if name in CHOICES and name not in available():
        raise NotApplicable(
            f"this version of histhooks does not record {name} yet; it records {', '.join(available())}"
        )
    if not any(_is_importable(import_name) for import_name in _import_names(name)):
        raise NotApplicable(f"{name} is not installed here; install it, or leave it out of autolog()")


def _import_names(name: str) -> tuple[str, ...]:
    return FRAMEWORKS[name].import_names if name in FRAMEWORKS else (name,)


def _is_importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _entry_points() -> dict[str, EntryPoint]:
    if not packages.may_have_entry_points(GROUP):
        return {}
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _installer(name: str, entry: EntryPoint | None, *, is_asked: bool) -> Callable[[ModuleType], None]:
    def install(module: ModuleType) -> None:
        if name in _installed or name not in _wanted:
            return
        if entry is None and _is_half_loaded(_module_name(name)):
            _half_loaded[name] = install
            return
        try:
            _load(name, entry)
        except NotApplicable as error:
            if is_asked:
                raise
            _say_why_not(name, error)

    return install if is_asked else guarded(install)


def _completer(name: str) -> Callable[[ModuleType], None]:
    def complete(ours: ModuleType) -> None:
        install = _half_loaded.pop(name, None)
        if install is not None:
            install(ours)

    return complete


def _is_half_loaded(module_name: str) -> bool:
    module = sys.modules.get(module_name)
    return module is not None and not hasattr(module, "integration")  # the last that each of ours defines


def _module_name(name: str) -> str:
    return f"histhooks.integrations.{name}"


def _load(name: str, entry: EntryPoint | None) -> None:
    integration = entry.load() if entry is not None else _builtin(name)
    try:
        integration.install()
    except Exception as error:
        guarded(integration.uninstall)()  # what is half in
        if isinstance(error, NotApplicable) or is_strict():
            raise
        why = f"its hooks do not go in here ({in_words(error)}); another tool may be in the way"
        raise NotApplicable(why) from error
    _installed[name] = integration
    _claimed.update(dict.fromkeys(integration.classes, name))


def _say_why_not(name: str, error: NotApplicable) -> None:
    """Say once, here and in the record, that a framework is not recorded, and why."""
    not_recorded("hooks", f"not recorded/{name}", f"{name} is not recorded: {error}")


def _builtin(name: str) -> Integration:
    integration: Integration = importlib.import_module(_module_name(name)).integration
    return integration


def __getattr__(name: str) -> Any:
    # `histhooks.integrations.torch.record(optimizer)` needs no import of its own; torch comes in with it, as asked.
    if name in CHOICES:
        return importlib.import_module(_module_name(name))
    raise AttributeError(f"module 'histhooks.integrations' has no attribute {name!r}")
