"""Settings that no framework sees: what the program parsed from its command line and read from its config files.

They become params of the top-level runs that begin afterwards in the process, with source `command` or `config`; an
option that was left at its default has source `default`. A param that the framework or the program records itself keeps
its name, its value and its source: a setting of that name with another value is kept as `command.NAME` or
`config.NAME`.

======================  =============================================================================================
parsed by               recorded
======================  =============================================================================================
argparse                the namespace of each parser that reads the real command line; also what is built on it
                        (HfArgumentParser of transformers, simple-parsing)
jsonargparse, tyro      what a parser, or ``tyro.cli`` of a dataclass, gives; also under LightningCLI
click, typer            the params of each command that is invoked; what a prompt hides is masked
Hydra                   the composed config of a job, as long as the job runs, and of `compose()`; overrides of the
                        command line are `command`. `${name}` is what it leads to; resolvers are not called
OmegaConf               `load()` of a file, `from_cli()`
yaml, tomllib, toml,    a mapping from a file that :mod:`histhooks._collect.config_files` takes for settings, at most
json, configparser      64 KiB; of YAML and TOML also a text
======================  =============================================================================================

Recorded is what the program's own code parses. What a package parses for itself (pytest, torchrun, Jupyter) is not, nor
are words that the program makes up (``parse_args(["--lr", "1"])``), nor what was parsed before ``autolog()``. What was
parsed counts: a namespace that the program changes afterwards changes nothing here. A place in the program that reads
more than 8 files reads data, and none of them is kept. HISTHOOKS_CONFIG=off records none of this.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from histhooks._base.secrets import MASK
from histhooks._base.values import flatten
from histhooks._collect import config_files
from histhooks._hooks.imports import no_longer, when_imported
from histhooks._hooks.patching import Patches
from histhooks._host.guard import guarded
from histhooks._record import engine as _engine
from histhooks._record.askers import asker, is_code, is_command_line, is_own_function, place_of, plain
from histhooks._record.program_settings import Pending, forget, keep, origins

if TYPE_CHECKING:
    from histhooks._record.run import Run

_patches = Patches()
# The parsers of argparse that are at work, the outermost first; and the library that reads a file.
_parsers: ContextVar[list[Any] | None] = ContextVar("histhooks_parsers", default=None)
_reading: ContextVar[str | None] = ContextVar("histhooks_reading", default=None)


# --- argparse ---------------------------------------------------------------------------------------------------------


def _watch_parser(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    """See what a parser made of the command line; a parser inside it (of a subcommand) belongs to the outer one."""
    outer = _parsers.get()
    if outer is not None:
        outer.append(args[0])
        yield
        return
    parsers = [args[0]]
    token = _parsers.set(parsers)
    try:
        result = yield
    finally:
        _parsers.reset(token)
    words = args[1] if len(args) > 1 else kwargs.get("args")
    caller = asker()
    if caller is not None and is_command_line(words) and isinstance(result, tuple):
        values = {key: plain(value) for key, value in _parsed(result[0], parsers) if not is_code(value)}
        usual = dict.fromkeys(_untouched(parsers, values), "default")
        keep("command", place_of(caller), "", values, usual)


def _parsed(namespace: Any, parsers: Iterable[Any]) -> list[tuple[str, Any]]:
    """What a namespace holds; of an object of the program, to which argparse adds, no more than was added."""
    held = list(getattr(namespace, "__dict__", {}).items())
    if type(namespace).__module__ == "argparse":
        return held
    names = {name for one in parsers for name in (*one._defaults, *(action.dest for action in one._actions))}
    return [(key, value) for key, value in held if key in names]


def _untouched(parsers: Iterable[Any], values: Mapping[str, Any]) -> Iterator[str]:
    """Names of the options that have their default."""
    for parser in parsers:
        yield from (key for key in parser._defaults if key in values)
        for action in parser._actions:
            if action.dest in values and _is_usual(values[action.dest], action.default):
                yield action.dest


def _is_usual(value: Any, default: Any) -> bool:
    if value is default:
        return True
    kind = type(value)
    if kind in (int, float, str, bool, list, tuple, type(None)) and kind is type(default):
        return bool(value == default)
    if type(default) is str and kind in (int, float):  # what argparse converts
        try:
            return bool(kind(default) == value)
        except ValueError:
            return False
    return type(default) is str and isinstance(value, os.PathLike) and os.fspath(value) == default


# --- jsonargparse and tyro --------------------------------------------------------------------------------------------


def _watch_typed(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    """See a namespace or a dataclass that was made of the command line: what no word names is at its default."""
    result = yield
    is_method = original.__name__ == "parse_args"
    words = args[1] if is_method and len(args) > 1 else kwargs.get("args")
    found = result[0] if isinstance(result, tuple) and result else result
    values = plain(found)
    caller = asker()
    if caller is not None and isinstance(values, dict) and is_command_line(words):
        keys = [word[2:].partition("=")[0].replace("-", "_") for word in sys.argv[1:] if word.startswith("--")]
        given = {key for name in flatten(values) for key in keys if f"{name}.".startswith(f"{key}.")}
        usual = "config" if "config" in keys else "default"  # jsonargparse does not say what its file gave
        others = {name: usual for name in flatten(values) if not any(f"{name}.".startswith(f"{k}.") for k in given)}
        keep("command", place_of(caller), "", values, others)


# --- click and typer --------------------------------------------------------------------------------------------------


def _watch_command(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """See the params of a command before it runs."""
    command, context = args[0], args[1] if len(args) > 1 else kwargs["ctx"]
    callback = command.callback
    if callback is None or not is_own_function(callback) or _is_tested():
        return
    hidden = {param.name for param in command.params if getattr(param, "hide_input", False)}
    values = {key: MASK if key in hidden and value is not None else plain(value)
              for key, value in context.params.items() if not is_code(value)}  # fmt: skip
    sources = {key: getattr(context.get_parameter_source(key), "name", "") for key in values}
    words = {"DEFAULT": "default", "DEFAULT_MAP": "config"}
    others = {key: words[name] for key, name in sources.items() if name in words}
    keep("command", f"{command.name} of {callback.__module__}", "", values, others)


_watch_command.is_watch = True  # type: ignore[attr-defined]


def _is_tested() -> bool:
    """Whether a test invokes the command, with words of its own."""
    frame: FrameType | None = sys._getframe(1)
    testing = {name for name in ("click.testing", "typer.testing", "typer._click.testing") if name in sys.modules}
    while testing and frame is not None:
        if frame.f_globals.get("__name__") in testing:
            return True
        frame = frame.f_back
    return False


# --- Hydra and OmegaConf ----------------------------------------------------------------------------------------------


def _container(config: Any) -> dict[str, Any]:
    """A config as plain values, without Hydra's own; what is missing is None, and no resolver is called."""
    omegaconf = sys.modules["omegaconf"]
    kept = omegaconf.OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    plain = omegaconf.OmegaConf.to_container(kept, resolve=False)
    return _led(plain, plain) if isinstance(plain, dict) else {}


_REFERENCE = re.compile(r"\$\{([\w.]+)\}\Z")


def _led(value: Any, top: Mapping[str, Any], depth: int = 0) -> Any:
    """A value with ``${name}`` led to what it names, where that is a whole value and no resolver."""
    if isinstance(value, dict):
        return {key: _led(inner, top, depth) for key, inner in value.items()}
    if isinstance(value, list):
        return [_led(inner, top, depth) for inner in value]
    if value == "???":
        return None
    found = _REFERENCE.match(value) if isinstance(value, str) and depth < 8 else None
    if found is None or found[1].startswith("."):
        return value
    target: Any = top
    for part in found[1].split("."):
        if not isinstance(target, Mapping) or part not in target:
            return value
        target = target[part]
    return _led(target, top, depth + 1)


def _words_of(overrides: Iterable[str]) -> dict[str, str]:
    """Names that are overridden on the command line: ``a.b=1``, ``+a=1``, ``a@b=c``."""
    names = (str(one).lstrip("+~").partition("=")[0] for one in overrides)
    return dict.fromkeys((name.rpartition("@")[2].replace("/", ".") for name in names), "command")


def _watch_job(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    """See the config of a job, which holds until the job is over."""
    function = args[0] if args else kwargs.get("task_function")
    config = args[1] if len(args) > 1 else kwargs.get("config")
    if config is None or not is_own_function(function):
        yield
        return
    before = dict(origins)
    keep("config", "hydra", "", _container(config), _words_of(config.hydra.overrides.task))
    try:
        yield
    finally:
        origins.clear()
        origins.update(before)


def _watch_compose(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    config = yield
    caller = asker()
    if caller is not None and config is not None:
        keep("config", place_of(caller), "", _container(config))


def _watch_omegaconf(name: str) -> Callable[..., Any]:
    def watch(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
        config = yield
        given = args[0] if args else next(iter(kwargs.values()), None)
        caller = asker()
        if caller is None or type(config).__name__ != "DictConfig":
            return
        if name == "load":
            path = os.fspath(given) if isinstance(given, (str, os.PathLike)) else config_files.name_of(given)
            if path is not None and config_files.is_settings_file(str(path)):
                keep("config", place_of(caller), os.path.abspath(path), _container(config))
        elif is_command_line(given):
            keep("command", place_of(caller), "", _container(config))

    return watch


# --- files ------------------------------------------------------------------------------------------------------------


def _watch_file(library: str) -> Callable[..., Any]:
    """See what came of a file, or of a text where the format is one of settings."""
    takes_text = library != "json"

    def watch(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
        if _reading.get() == library:
            yield  # `load` parses by `loads`
            return
        token = _reading.set(library)
        try:
            value = yield
        finally:
            _reading.reset(token)
        if not isinstance(value, dict):
            return
        stream = args[0] if args else next(iter(kwargs.values()), None)
        is_text = isinstance(stream, (str, bytes))
        path = _path_of(stream, library)
        if path is None and not (takes_text and is_text and len(stream) <= config_files.MOST_BYTES):
            return
        if path is not None and not config_files.is_settings_file(path):
            return
        caller = asker() if config_files.is_settings(value, path) else None
        if caller is not None:
            keep("config", place_of(caller), f"text {len(stream)}" if path is None else os.path.abspath(path), value)

    return watch


def _path_of(stream: Any, library: str) -> str | None:
    if isinstance(stream, (str, bytes)):
        # toml.load takes a path.
        is_path = library == "toml" and isinstance(stream, str) and "\n" not in stream and os.path.isfile(stream)
        return str(stream) if is_path else None
    return config_files.name_of(stream)


def _watch_ini(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    read = yield
    parser = args[0]
    given = read if isinstance(read, list) else [config_files.name_of(args[1] if len(args) > 1 else kwargs.get("f"))]
    paths = [os.path.abspath(os.fsdecode(path)) for path in given if path is not None]
    if not paths or not all(map(config_files.is_settings_file, paths)):
        return
    caller = asker()
    if caller is not None:
        values = {name: dict(parser.items(name, raw=True)) for name in parser.sections()} or dict(parser.defaults())
        keep("config", place_of(caller), " ".join(paths), values)


@guarded
def at_run_start(run: Run) -> None:
    """Keep for an top-level run what has been parsed; a transformer that is fitted is no training."""
    if run.parent_id is None and run.kind != "preprocess" and run.is_recorded and (origins or run.kind == "block"):
        run.pending = Pending(goes_on=run.kind == "block")


# --- seams ------------------------------------------------------------------------------------------------------------

_SEAMS: tuple[tuple[str, tuple[tuple[str, Callable[..., Any]], ...]], ...] = (
    ("argparse", (("ArgumentParser.parse_known_args", _watch_parser),
                  ("ArgumentParser.parse_known_intermixed_args", _watch_parser))),
    ("jsonargparse._core", (("ArgumentParser.parse_args", _watch_typed),)),
    ("tyro._cli", (("cli", _watch_typed),)),
    ("click.core", (("Command.invoke", _watch_command),)),
    ("typer._click.core", (("Command.invoke", _watch_command),)),  # typer brings a copy of click since 0.20
    ("hydra.core.utils", (("run_job", _watch_job),)),
    ("hydra.compose", (("compose", _watch_compose),)),
    ("omegaconf.omegaconf", (("OmegaConf.load", _watch_omegaconf("load")),
                             ("OmegaConf.from_cli", _watch_omegaconf("from_cli")))),
    ("yaml", (("load", _watch_file("yaml")),)),
    ("tomllib", (("load", _watch_file("tomllib")), ("loads", _watch_file("tomllib")))),
    ("toml", (("load", _watch_file("toml")), ("loads", _watch_file("toml")))),
    ("json", (("load", _watch_file("json")),)),
    ("configparser", (("RawConfigParser.read", _watch_ini), ("RawConfigParser.read_file", _watch_ini))),
)  # fmt: skip


def _installer(seams: tuple[tuple[str, Callable[..., Any]], ...]) -> Callable[[ModuleType], None]:
    def install(module: ModuleType) -> None:
        for path, watch in seams:
            holder, _, name = path.rpartition(".")
            owner = vars(module).get(holder) if holder else module
            if owner is not None and name in vars(owner):
                try:
                    _patches.wrap(owner, name, watch)
                except Patches.Unfit:
                    continue  # pytest has rewritten its assertions, as it does those of plugins (Hydra)

    return guarded(install)


def is_wanted() -> bool:
    """Whether settings of the program are recorded: HISTHOOKS_CONFIG=off says no."""
    return os.environ.get("HISTHOOKS_CONFIG", "").lower() not in ("off", "0", "false", "no")


def install() -> None:
    """Begin to see what the program parses."""
    if _patches or not is_wanted():
        return
    for module, seams in _SEAMS:
        when_imported(module, _installer(seams))


def uninstall() -> None:
    """Put everything back, by identity, and forget what was parsed."""
    for module, _ in _SEAMS:
        no_longer(module)
    _patches.undo()
    forget()


_engine.engine.at_run_start.append(at_run_start)
