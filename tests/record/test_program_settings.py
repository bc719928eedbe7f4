"""What a program parses from its command line and its config files becomes params of its runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from helpers.programs import UNTIL
from histhooks.testing import query

BLOCK = '\nimport histhooks\nwith histhooks.start_run("block"):\n    pass\n'
Params = dict[str, tuple[Any, str]]


def launch(
    store: Path, program: str, *words: str, supervised: bool = False, recorded: bool = True, **variables: str
) -> str:
    """Run a program as a file, with words of a command line; what it printed."""
    head = "import histhooks; histhooks.autolog()\n" if recorded and not supervised else ""
    Path("train.py").write_text(head + textwrap.dedent(program))
    command = [sys.executable, "-m", "histhooks", "run", "train.py"] if supervised else [sys.executable, "train.py"]
    done = subprocess.run(
        [*command, *words],
        env={**os.environ, "HISTHOOKS_STORE": str(store), "PYTHONWARNINGS": "error", **variables},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def params(store: Path, run: str = "block") -> Params:
    """Value and source of each param of a run, by its name; the latest of each."""
    sql = f"SELECT p.key, p.value, p.source FROM params p JOIN runs r ON r.id = p.run_id WHERE r.name = '{run}' "
    rows = query(store, f"{sql} ORDER BY p.ordinal")
    assert len({key for key, _, _ in rows}) == len(rows)  # no name twice
    return {key: (json.loads(value), source) for key, value, source in rows}


ARGPARSE = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--hard", type=float, default=0.5)
parser.add_argument("--epochs", type=int, default="3")
parser.add_argument("--layers", type=int, nargs="+", default=[8, 8])
parser.add_argument("--api-key")
parser.add_argument("--verbose", action="store_true")
args = parser.parse_args()
args.hard = 77.0
"""


@pytest.mark.parametrize("supervised", [False, True])
def test_a_command_line_becomes_params_as_it_was_parsed(store_path: Path, supervised: bool) -> None:
    launch(
        store_path, ARGPARSE + BLOCK, "--hard", "0.9", "--layers", "4", "2", "--api-key", "xyzzy", supervised=supervised
    )
    assert params(store_path) == {
        "hard": (0.9, "command"),
        "epochs": (3, "default"),
        "layers": ([4, 2], "command"),
        "api_key": ("[masked]", "command"),
        "verbose": (False, "default"),
    }


def test_a_where_finds_what_the_command_line_said(store_path: Path) -> None:
    from histhooks import History

    for value in ("0.9", "0.1"):
        launch(store_path, ARGPARSE + BLOCK, "--hard", value)
    with History(store_path) as history:
        assert [run.params["hard"] for run in history.runs(where="params.hard = 0.9")] == [0.9]
        changes = next(part for part in history.diff("last~1", "last").parts if part.name == "params").changes
    assert [change.key for change in changes] == ["hard"]


def test_a_subcommand_has_its_options_and_no_function(store_path: Path) -> None:
    program = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--depth", type=int, default=2)
    commands = parser.add_subparsers(dest="what")
    fit = commands.add_parser("fit")
    fit.add_argument("--rate", type=float, default=0.1)
    fit.add_argument("--rounds", type=int, default=5)
    fit.set_defaults(call=print)
    fit.set_defaults(run=lambda: None)
    parser.parse_args()
    """
    launch(store_path, textwrap.dedent(program) + BLOCK, "fit", "--rate", "0.3")
    found = params(store_path)
    assert found.pop("call")[1] == "default"
    assert found == {
        "depth": (2, "default"),
        "what": ("fit", "command"),
        "rate": (0.3, "command"),
        "rounds": (5, "default"),
    }


@pytest.mark.parametrize("namespace", ["Own", "Own()"])
def test_of_an_object_that_serves_as_a_namespace_only_options_are_kept(store_path: Path, namespace: str) -> None:
    program = f"""
    import argparse
    class Own:
        mine = 1
        def __init__(self):
            self.rows = [1, 2]
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float)
    parser.parse_args(namespace={namespace})
    """
    launch(store_path, textwrap.dedent(program) + BLOCK, "--rate", "0.7")
    assert params(store_path) == {"rate": (0.7, "command")}


def test_words_that_the_program_makes_up_and_parsers_of_packages_are_not_recorded(store_path: Path) -> None:
    program = """
    import argparse, sys, types
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float)
    parser.parse_args(["--rate", "0.7"])
    parser.parse_args([])
    text = "import argparse\\np = argparse.ArgumentParser()\\np.add_argument('--theirs')\\np.parse_args()"
    exec(compile(text, "/usr/lib/python3/dist-packages/other/__main__.py", "exec"), {"__name__": "other"})
    """
    launch(store_path, textwrap.dedent(program) + BLOCK, "--theirs", "1")
    assert params(store_path) == {}


def test_the_framework_s_own_param_keeps_its_name_and_its_source(store_path: Path) -> None:
    pytest.importorskip("sklearn")
    program = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--alpha", type=float)
    parser.add_argument("--tol", type=float)
    parser.add_argument("--solver", default="none at all")
    parser.add_argument("--hard", type=float)
    args = parser.parse_args()
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler
    StandardScaler().fit([[0.0], [1.0]])
    Ridge(alpha=args.alpha, tol=1e-3).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.1])
    """
    launch(store_path, program, "--alpha", "0.25", "--tol", "0.5", "--hard", "3")
    found = params(store_path, "train·Ridge")
    assert found["alpha"] == (0.25, "argument")
    assert (found["tol"], found["command.tol"]) == ((0.001, "argument"), (0.5, "command"))
    assert found["solver"] == ("auto", "default")
    assert found["hard"] == (3.0, "command")
    assert not {"command.alpha", "command.solver"} & found.keys()
    assert "hard" not in params(store_path, "train·StandardScaler")


def test_inner_runs_have_none_and_what_is_parsed_inside_a_block_comes_at_its_end(store_path: Path) -> None:
    program = """
    with histhooks.start_run("block", params={"rate": 1}):
        import argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("--rate", type=float)
        parser.add_argument("--hard", type=float)
        parser.parse_args()
        with histhooks.start_run("inner"):
            pass
    """
    launch(store_path, program, "--hard", "2", "--rate", "2")
    assert params(store_path) == {"rate": (1, "user"), "command.rate": (2.0, "command"), "hard": (2.0, "command")}
    assert params(store_path, "inner") == {}


def test_a_run_that_is_killed_has_its_settings(store_path: Path) -> None:
    program = """
    import os, signal
    histhooks.start_run("block").__enter__()
    until("SELECT 1 FROM params WHERE key = 'hard'")
    os.kill(os.getpid(), signal.SIGKILL)
    """
    Path("train.py").write_text(
        UNTIL + "import histhooks; histhooks.autolog()\n" + textwrap.dedent(ARGPARSE) + textwrap.dedent(program)
    )
    environment = {**os.environ, "HISTHOOKS_STORE": str(store_path)}
    subprocess.run([sys.executable, "train.py", "--hard", "4"], env=environment, timeout=300)
    assert params(store_path)["hard"] == (4.0, "command")


def test_click_has_what_was_given_what_is_default_and_no_hidden_word(store_path: Path) -> None:
    program = """
    import click

    @click.group()
    @click.option("--depth", default=2)
    def main(depth): ...

    @main.command()
    @click.option("--rate", default=0.1)
    @click.option("--rounds", default=5, envvar="ROUNDS")
    @click.option("--word", hide_input=True)
    @click.argument("target")
    def fit(**_):
        with histhooks.start_run("block"):
            pass

    main()
    """
    launch(store_path, program, "fit", "--rate", "0.3", "--word", "plain", "out", ROUNDS="9")
    assert params(store_path) == {
        "depth": (2, "default"),
        "rate": (0.3, "command"),
        "rounds": (9, "command"),
        "word": ("[masked]", "command"),
        "target": ("out", "command"),
    }


def test_a_command_that_a_test_invokes_is_not_recorded(store_path: Path) -> None:
    program = """
    import click
    from click.testing import CliRunner

    @click.command()
    @click.option("--rate", default=0.1)
    def fit(rate):
        with histhooks.start_run("block"):
            pass

    assert CliRunner().invoke(fit, ["--rate", "7"]).exit_code == 0
    """
    launch(store_path, program)
    assert params(store_path) == {}


def test_typer_has_the_params_of_its_command(store_path: Path) -> None:
    pytest.importorskip("typer")
    program = """
    import typer

    def main(rate: float = 0.1, rounds: int = 5, fast: bool = False):
        with histhooks.start_run("block"):
            pass

    typer.run(main)
    """
    launch(store_path, program, "--rate", "0.3", "--fast")
    assert params(store_path) == {
        "rate": (0.3, "command"),
        "rounds": (5, "default"),
        "fast": (True, "command"),
    }


def test_hydra_has_the_composed_config_and_what_the_command_line_overrides(store_path: Path) -> None:
    pytest.importorskip("hydra")
    Path("conf/model").mkdir(parents=True)
    Path("conf/config.yaml").write_text(
        "defaults:\n  - model: small\n  - _self_\nlr: 0.1\nwarmup: ${lr}\nhome: ${oc.env:HOME}\n"
        "password: abc\nlost: ???\n"
    )
    Path("conf/model/small.yaml").write_text("width: 8\n")
    Path("conf/model/large.yaml").write_text("width: 64\ndepth: 4\n")
    program = """
    import hydra

    @hydra.main(version_base=None, config_path="conf", config_name="config")
    def main(config):
        with histhooks.start_run(f"block{config.lr}"):
            pass

    main()
    """
    words = ("model=large", "lr=0.2,0.3", "+new=1", "hydra.sweep.dir=out", "-m")
    launch(store_path, program, *words, PYTHONWARNINGS="default")
    expected = {
        "model.width": (64, "command"),
        "model.depth": (4, "command"),
        "lr": (0.2, "command"),
        "warmup": (0.2, "config"),
        "home": ("${oc.env:HOME}", "config"),
        "password": ("[masked]", "config"),
        "lost": (None, "config"),
        "new": (1, "command"),
    }
    assert params(store_path, "block0.2") == expected
    assert params(store_path, "block0.3") == {**expected, "lr": (0.3, "command"), "warmup": (0.3, "config")}


def test_omegaconf_has_a_file_and_the_command_line(store_path: Path) -> None:
    pytest.importorskip("omegaconf")
    Path("base.yaml").write_text("lr: 0.1\nmodel:\n  width: 8\n")
    program = """
    from omegaconf import OmegaConf
    config = OmegaConf.merge(OmegaConf.load("base.yaml"), OmegaConf.from_cli())
    """
    launch(store_path, textwrap.dedent(program) + BLOCK, "lr=0.5")
    assert params(store_path) == {
        "lr": (0.5, "command"),
        "config.lr": (0.1, "config"),
        "model.width": (8, "config"),
    }


def test_config_files_are_kept_as_they_were_read_and_data_is_not(store_path: Path) -> None:
    pytest.importorskip("yaml")
    Path("train.yaml").write_text(
        "lr: 0.1\nsteps: [{a: 1}, {b: 2}]\npassword: abcdefgh\nclasses: [" + "x, " * 40 + "x]\n"
    )
    Path("model.toml").write_text("[model]\nwidth = 8\n")
    Path("run.ini").write_text("[DEFAULT]\nbase = 2\n[data]\nbatch = %(base)s\n")
    Path("options.json").write_text('{"drop": 0.5, "layers": [4, 2]}')
    Path("results.json").write_text('{"accuracy": 0.5}')
    Path("records.json").write_text('{"rows": [{"age": 1}, {"age": 2}]}')
    Path("list.json").write_text("[1, 2]")
    Path("poetry.lock").write_text("a = 1\n")
    Path("pyproject.toml").write_text("b = 1\n")
    Path("large.yaml").write_text("c: 1\n" + "# long\n" * 20_000)
    program = """
    import configparser, io, json, tomllib, yaml
    with open("train.yaml") as file:
        config = yaml.safe_load(file)
    config["lr"] = 99
    with open("model.toml", "rb") as file:
        tomllib.load(file)
    configparser.ConfigParser().read(["run.ini", "nowhere.ini"])
    for name in ("options.json", "results.json", "records.json", "list.json"):
        with open(name) as file:
            json.load(file)
    json.load(io.StringIO('{"memory": 1}'))
    tomllib.loads("text = 1")
    for name in ("poetry.lock", "pyproject.toml"):
        with open(name, "rb") as file:
            tomllib.load(file)
    with open("large.yaml") as file:
        yaml.safe_load(file)
    """
    launch(store_path, textwrap.dedent(program) + BLOCK)
    assert params(store_path) == {
        "lr": (0.1, "config"),
        "steps": ([{"a": 1}, {"b": 2}], "config"),
        "password": ("[masked]", "config"),
        "model.width": (8, "config"),
        "data.batch": ("%(base)s", "config"),
        "data.base": ("2", "config"),
        "drop": (0.5, "config"),
        "layers": ([4, 2], "config"),
        "text": (1, "config"),
    }
    assert query(store_path, "SELECT status, note FROM captures WHERE collector = 'config'") == [
        ("truncated", "classes: a long list")
    ]


def test_a_place_that_reads_many_files_reads_data(store_path: Path) -> None:
    program = """
    import json, pathlib
    for number in range(20):
        pathlib.Path(f"item{number}.json").write_text('{"age": 1}')
        with open(f"item{number}.json") as file:
            json.load(file)
    """
    launch(store_path, textwrap.dedent(program) + BLOCK)
    assert params(store_path) == {}


def test_the_command_line_stands_before_a_file_and_a_file_before_a_default(store_path: Path) -> None:
    Path("options.json").write_text('{"rate": 0.1, "rounds": 7, "depth": 3}')
    program = """
    import argparse, json
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=1)
    parser.parse_args()
    with open("options.json") as file:
        json.load(file)
    """
    launch(store_path, textwrap.dedent(program) + BLOCK, "--rate", "0.9")
    assert params(store_path) == {
        "rate": (0.9, "command"),
        "config.rate": (0.1, "config"),
        "rounds": (7, "config"),
        "command.rounds": (1, "default"),
        "depth": (3, "config"),
    }


def test_it_can_be_switched_off(store_path: Path) -> None:
    launch(store_path, ARGPARSE + BLOCK, "--hard", "0.9", HISTHOOKS_CONFIG="off")
    assert params(store_path) == {}


SAME = """
import argparse, configparser, inspect, io, json, pickle, random, tomllib, traceback
before = {}
functions = {
    "parse": argparse.ArgumentParser.parse_known_args, "load": json.load, "toml": tomllib.load, "loads": tomllib.loads,
    "read": configparser.RawConfigParser.read,
}
state = random.getstate()
parser = argparse.ArgumentParser(prog="train", exit_on_error=False)
parser.add_argument("--rate", type=float, default=0.5)
for words in (None, ["--rate", "x"], ["--other"]):
    try:
        print(parser.parse_args(words))
    except (argparse.ArgumentError, SystemExit) as error:
        print(type(error).__name__, error, [frame.name for frame in traceback.extract_tb(error.__traceback__)])
calls = (json.load, io.StringIO("{")), (tomllib.loads, "a ="), (tomllib.loads, "a = 1"), (json.load, 3)
for function, given in calls:
    try:
        print(function(given))
    except Exception as error:
        print(type(error).__name__, error, [frame.name for frame in traceback.extract_tb(error.__traceback__)])
for name, function in functions.items():
    print(name, inspect.signature(function), function.__defaults__, function.__kwdefaults__, function.__qualname__)
    print(pickle.loads(pickle.dumps(function)) is function)
print(random.getstate() == state)
"""


def test_parsers_give_the_same_with_and_without(store_path: Path) -> None:
    plain = launch(store_path, SAME, "--rate", "2", recorded=False)
    assert launch(store_path, SAME, "--rate", "2") == plain
    assert "rate=2.0" in plain
    assert "ArgumentError" in plain


def outcome(store: Path, program: str, *words: str, recorded: bool) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a program that may fail."""
    head = "import histhooks; histhooks.autolog()\n" if recorded else "\n"
    Path("train.py").write_text(head + textwrap.dedent(program))
    environment = {**os.environ, "HISTHOOKS_STORE": str(store), "HYDRA_FULL_ERROR": "0"}
    command = [sys.executable, "train.py", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


CLICK = """
import click, inspect, pickle, traceback

@click.command()
@click.option("--rate", type=float, default=0.1)
def main(rate):
    print(rate, [frame.name for frame in traceback.extract_stack() if "train.py" in frame.filename])
    invoke = click.Command.invoke
    print(inspect.signature(invoke), pickle.loads(pickle.dumps(invoke)) is invoke)
    raise ValueError("odd")

main()
"""
TYPER = """
import typer

def main(rate: float = 0.1):
    print(rate)
    raise typer.Exit(3)

typer.run(main)
"""
HYDRA = """
import hydra

@hydra.main(version_base=None, config_path=None)
def main(config):
    print(config)
    raise ValueError("odd")

main()
"""


@pytest.mark.parametrize(
    ("module", "program", "words"),
    [
        ("click", CLICK, ("--rate", "0.5")),
        ("click", CLICK, ("--rate", "x")),
        ("typer", TYPER, ("--rate", "0.5")),
        ("hydra", HYDRA, ("+a=1", "hydra.run.dir=.", "hydra.output_subdir=null")),
    ],
)
def test_a_program_that_fails_fails_the_same(
    store_path: Path, module: str, program: str, words: tuple[str, ...]
) -> None:
    pytest.importorskip(module)
    plain = outcome(store_path, program, *words, recorded=False)
    assert plain[0] != 0
    assert outcome(store_path, program, *words, recorded=True) == plain


def test_a_dataclass_that_transformers_parses_has_its_params(store_path: Path) -> None:
    pytest.importorskip("transformers")
    program = """
    from dataclasses import dataclass, field
    from transformers import HfArgumentParser

    @dataclass
    class Arguments:
        hard: float = 0.5
        layers: list[int] = field(default_factory=lambda: [8, 8])

    HfArgumentParser(Arguments).parse_args_into_dataclasses()
    """
    launch(store_path, textwrap.dedent(program) + BLOCK, "--hard", "0.9", PYTHONWARNINGS="default")
    assert params(store_path) == {"hard": (0.9, "command"), "layers": ([8, 8], "default")}


JSONARGPARSE = """
from jsonargparse import ArgumentParser
parser = ArgumentParser()
parser.add_argument("--hard", type=float, default=0.5)
parser.add_argument("--model.width", type=int, default=8)
parser.parse_args()
"""
TYRO = """
from dataclasses import dataclass, field
import tyro

@dataclass
class Model:
    width: int = 8

@dataclass
class Arguments:
    hard: float = 0.5
    model: Model = field(default_factory=Model)

tyro.cli(Arguments)
"""


@pytest.mark.parametrize(("module", "program"), [("jsonargparse", JSONARGPARSE), ("tyro", TYRO)])
def test_what_is_typed_has_its_params(store_path: Path, module: str, program: str) -> None:
    pytest.importorskip(module)
    launch(store_path, program + BLOCK, "--hard", "0.9")
    assert params(store_path) == {"hard": (0.9, "command"), "model.width": (8, "default")}


def test_disable_gives_the_functions_back(store_path: Path) -> None:
    program = """
    import argparse, json
    import histhooks
    functions = argparse.ArgumentParser.parse_known_args, json.load
    codes = [function.__code__ for function in functions]
    histhooks.autolog()
    assert [function.__code__ for function in functions] != codes
    histhooks.disable()
    assert [function.__code__ for function in functions] == codes
    assert (argparse.ArgumentParser.parse_known_args, json.load) == functions
    """
    launch(store_path, program, recorded=False)


def test_the_seams_are_where_they_were() -> None:
    """A seam that a release moves is not found, and nothing would be recorded without a word."""
    import importlib

    from histhooks._record.parsers import _SEAMS

    found, missing = set(), []
    for module, seams in _SEAMS:
        try:
            owner = importlib.import_module(module)
        except ImportError:
            continue
        found.add(module.partition(".")[0])
        for path, _ in seams:
            holder, _, name = path.rpartition(".")
            if name not in vars(vars(owner)[holder] if holder else owner):
                missing.append(f"{module}.{path}")
    assert missing == []
    assert {"argparse", "json", "tomllib", "configparser"} <= found
