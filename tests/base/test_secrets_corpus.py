"""Secrets of many shapes, planted wherever a program can put them: not one may be found in the bytes of a store."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from helpers.programs import wait_for
from histhooks._base.secrets import is_secret_key
from histhooks.testing import query

# Each with {w} where the secret is; each secret is a word of its own.
SHAPES = (
    "password={w}",
    "password = '{w}'",
    'password: "{w}"',
    "passwd={w}",
    "PGPASSWORD={w}",
    "dbPassword: {w}",
    "DB_PASSWORD={w}",
    "smtp-password={w}",
    "--password {w}",
    "--password={w}",
    "--api-key {w}",
    "api_key={w}",
    "apiKey: '{w}'",
    "X-Api-Key: {w}",
    "OPENAI_API_KEY={w}",
    "WANDB_API_KEY={w}{w}",
    "export AWS_SECRET_ACCESS_KEY={w}",
    "aws_secret_access_key = {w}",
    "secret={w}",
    "client_secret: '{w}'",
    '{{"secret": "{w}"}}',
    "{{'credentials': '{w}'}}",
    "token={w}",
    "HF_TOKEN={w}",
    "access_token={w}",
    "refresh_token: {w}",
    "auth_token='{w}'",
    "Authorization: Bearer {w}",
    "Authorization: Basic {w}",
    "Cookie: session={w}",
    "private_key='{w}'",
    "signing_key={w}",
    "encryption_key = {w}",
    "account_key={w}",
    "AccountKey={w};EndpointSuffix=core.windows.net",
    "passphrase={w}",
    "webhook_url=https://hooks.example.org/{w}",
    "postgres://user:{w}@host:5432/db",
    "mysql+pymysql://root:{w}@host/db",
    "redis://:{w}@host:6379/0",
    "amqp://me:{w}@host//",
    "https://{w}@github.com/a/b.git",
    "https://host/path?token={w}&a=1",
    "https://host/?sig={w}",
    "https://host/?X-Amz-Signature={w}",
    "mongodb+srv://me:{w}@cluster.example.org",
    "-----BEGIN PRIVATE KEY-----\n{w}{w}{w}{w}\n-----END PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\n{w}{w}{w}{w}\n{w}{w}{w}{w}\n-----END OPENSSH PRIVATE KEY-----",
    "it is ghp_{w}{w}",
    "it is github_pat_{w}{w}",
    "it is glpat-{w}",
    "it is hf_{w}{w}",
    "it is xoxb-{w}-{w}",
    "it is sk-proj-{w}{w}",
    "it is sk-ant-{w}{w}",
    "it is AIza{w}{w}",
    "it is eyJ{w}.eyJ{w}.{w}",
    "it is npm_{w}{w}",
    "it is pypi-AgEIcHlwaS5vcmc{w}{w}{w}",
    "it is dckr_pat_{w}{w}",
)
WORDS = tuple(f"q8ZtXw93LmVb{number:02}Rk7T" for number in range(len(SHAPES)))
TEXTS = tuple(shape.format(w=word) for shape, word in zip(SHAPES, WORDS, strict=True))
# The places that this program puts a text into; `settings.py` is changed, `fresh.py` is new to git.
PROGRAM = """
import sys
import histhooks
texts = open(sys.argv.pop(), encoding="utf-8").read().split("\\0")
tags = {f"tag{n}": text for n, text in enumerate(texts)}
with histhooks.start_run("mine", params={"texts": texts}, tags=tags) as run:
    run.log_params({f"param{n}": text for n, text in enumerate(texts)})
    run.log_params({"password": texts[0], "nested": {"api_key": texts[1], "list": [{"secret": texts[2]}]}})
    run.log_results({f"result{n}": {"inner": text} for n, text in enumerate(texts)})
    for text in texts:
        run.note(text)
        run.event("kind", text, text)
        try:
            with histhooks.start_run("failing"):
                raise ValueError(f"cannot log in with {text}")
        except ValueError:
            pass
"""


def bytes_of(store: Path) -> bytes:
    """All that a store holds: its files, and what it holds compressed."""
    held = [file.read_bytes() for file in store.parent.glob(store.name + "*") if file.is_file()]
    connection = sqlite3.connect(store)
    for data, encoding in connection.execute("SELECT data, encoding FROM contents"):
        held.append(zlib.decompress(data) if encoding == "zlib" else data)
    connection.close()
    return b"\n".join(held)


def test_there_are_enough_shapes() -> None:
    assert len(set(SHAPES)) == len(SHAPES) >= 40


def test_no_planted_secret_is_in_the_bytes_of_a_store(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    settings = folder / "settings.py"

    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)

    git("init", "-q")
    git("config", "user.email", "ann@example.org")
    git("config", "user.name", "Ann")
    git("remote", "add", "origin", f"https://me:{WORDS[41]}@example.org/p.git")
    settings.write_text("a = 1\n")
    git("add", ".")
    git("commit", "-qm", "first")
    settings.write_text("a = 2\n" + "\n".join(f"# {line}" for text in TEXTS for line in text.splitlines()) + "\n")
    (folder / "fresh.py").write_text("\n".join(TEXTS) + "\n")
    (folder / "train.py").write_text(PROGRAM)
    (tmp_path / "texts").write_text("\0".join(TEXTS))
    store = tmp_path / "histhooks.db"
    arguments = [word for text in TEXTS for word in (text.split(" ") if text.startswith(("--p", "--a")) else [text])]
    environment = {
        **os.environ,
        "HISTHOOKS_STORE": str(store),
        "HISTHOOKS_STRICT": "",
        "XLA_FLAGS": f"--token={WORDS[22]}",
        "MY_PASSWORD": WORDS[0],
        "HISTHOOKS_ACTOR": f"ann password={WORDS[1]}",
    }
    command = [sys.executable, "train.py", *arguments, str(tmp_path / "texts")]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    held = bytes_of(store)
    assert b"cannot log in with" in held
    assert b"a = 2" in held
    found = [shape for shape, word in zip(SHAPES, WORDS, strict=True) if word.encode() in held]
    assert found == []


def test_no_secret_of_a_notebook_cell_is_in_the_bytes_of_a_store(
    store_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from jupyter_client.manager import start_new_kernel

    monkeypatch.setenv("HISTHOOKS_STORE", str(store_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    manager, client = start_new_kernel(kernel_name="python3", env=dict(os.environ))
    try:
        for cell in (
            "import histhooks",
            *("\n".join(f"# {line}" for line in text.splitlines()) for text in TEXTS),
            "histhooks.start_run('mine').end(); histhooks.flush()",
        ):
            client.execute_interactive(cell, timeout=300, output_hook=lambda message: None)
        last = f"In [{len(TEXTS) + 2}]"
        wait_for(lambda: query(store_path, f"SELECT 1 FROM events WHERE title = '{last}'"))
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
    held = bytes_of(store_path)
    assert b"In [20]" in held
    found = [shape for shape, word in zip(SHAPES, WORDS, strict=True) if word.encode() in held]
    assert found == []


def test_no_parameter_of_xgboost_is_a_secret() -> None:
    import inspect

    import xgboost

    functions = (xgboost.train, xgboost.cv, xgboost.XGBModel, xgboost.XGBRanker, xgboost.DMatrix, xgboost.XGBModel.fit)
    names = {name for function in functions for name in inspect.signature(function).parameters}
    assert len(names) > 50
    assert {name for name in names if is_secret_key(name, "a_long_value_without_spaces_1")} == set()


# What transformers takes the key of an account in.
TRANSFORMERS_SECRETS = {"token", "hub_token", "push_to_hub_token", "use_auth_token"}


def test_no_parameter_of_transformers_is_a_secret_but_those_that_are() -> None:
    lines = (Path(__file__).parents[1] / "data" / "transformers_names.txt").read_text(encoding="utf-8").splitlines()
    names = [line for line in lines if not line.startswith("#")]
    assert len(names) > 1000
    found = {name for name in names if is_secret_key(name, "a_long_value_without_spaces_1")}
    assert found <= TRANSFORMERS_SECRETS
