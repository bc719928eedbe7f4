"""A secret that a program puts wherever it can is in no byte of the store, its log and its spool."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histhooks._base.secret_keys import LONG_VALUE_KEYS, SECRET_KEYS
from histhooks._base.secret_shapes import AFTER, KEY_HINTS, SHAPES, needs
from histhooks._base.secrets import mask_text, mask_value
from histhooks.testing import query
from histhooks.verify import verify

MARK = "hunter2Sup3r"
TOKEN = "ghp_" + MARK + "abcdefghijklmnopqrstuvwxyz"

PROGRAM = """
import base64, collections, dataclasses, enum, functools, os, pathlib, sys
import histhooks
import numpy as np, pandas as pd
MARK = "hunter2" + "Sup3r"
TOKEN = "ghp_" + MARK + "abcdefghijklmnopqrstuvwxyz"
URL = "postgres://ann:" + MARK + "@db/x"
def call(x, api_key=None, url=None): return x
class Kind(enum.Enum):
    PROD = URL
class Text(str): pass
@dataclasses.dataclass
class Config:
    password: str = MARK
class Shown:
    def __repr__(self): return TOKEN
    __str__ = __repr__
class Account(collections.UserDict): pass
Named = collections.namedtuple("Named", "api_key lr")
params = {
    "plain": TOKEN, "path": pathlib.Path("/data") / TOKEN, "set": {URL}, "frozen": frozenset([("url", URL)]),
    "partial": functools.partial(call, TOKEN, api_key=MARK),
    "nested": functools.partial(functools.partial(call, api_key=MARK)),
    "enum": Kind.PROD, "subclass": Text(TOKEN), "config": Config(), "shown": Shown(), "shown_in": [Shown(), {Shown()}],
    "dict": {"db": {"password": MARK, TOKEN: 1}}, TOKEN: "a key",
    "bytes": TOKEN.encode(), "mapping": Account(secret=MARK),
    "argv": ["train.py", "--password", MARK, "--token=" + TOKEN, "-u", "ann:" + MARK],
    "pairs": [["password", MARK], ("lr", 0.1)],
    "pem": ["-----BEGIN RSA PRIVATE KEY-----", MARK, "-----END RSA PRIVATE KEY-----"],
    "json": '{"password": "' + MARK + '", "a": "{\\\\"secret\\\\": \\\\"' + MARK + '\\\\"}"}',
    "slack": "hooks.slack.com/services/T0/B0/" + MARK, "long": "x " * 9995 + TOKEN, "deque": collections.deque([URL]),
    "header": "Authorization: Basic " + base64.b64encode(("ann:" + MARK).encode()).decode(),
    "netrc": "machine api login ann password " + MARK, "sas": "AccountKey=" + MARK + "==;EndpointSuffix=x",
    "sig": "https://x.blob.core.windows.net/a?sv=1&sig=" + MARK,
    "named": Named(MARK, 0.1), "named_in": {"deep": [Named((MARK,), 0.1)]}, "class": type(TOKEN, (), {}),
    "of_class": type(TOKEN, (), {})(), "calls": type(TOKEN, (), {"__call__": call})(),
    "0": np.array([TOKEN], dtype=object), "str_": np.str_(TOKEN),
    "access": "SharedAccessSignature=sv=2020&sig=" + MARK, "token": [MARK + "1234567"], "api_key": Shown(),
}
with histhooks.start_run("run " + TOKEN, params=params, tags={"api_key": MARK, TOKEN: URL, "t": Text(URL)}) as run:
    run.log_params({"more": params}, source=TOKEN)
    run.log_results(params)
    run.log({"loss " + TOKEN: 1.0, "ghp_" + MARK * 3: 2.0, "bad": "ghp_" + MARK * 3})
    run.log({"loss " + TOKEN: 0.5})
    run.note("password=" + MARK)
    run.event(TOKEN, "title " + URL, "body " + TOKEN)
    frame = pd.DataFrame({TOKEN: [1.0], "password": [2.0], URL: ["x"]})
    run.log_dataset("train", frame, pd.Series([1], name=TOKEN), name=TOKEN, source=pathlib.Path(TOKEN))
    run.log_dataset(TOKEN, frame)
    pathlib.Path(TOKEN + ".pt").write_text("model")
    run.log_artifact(TOKEN + ".pt", role=TOKEN)
    run.log_artifact("missing " + TOKEN)
    run.log_architecture("f", TOKEN, [{"name": TOKEN, "config": {"password": MARK + TOKEN}}], 1, 1)
    run.log_optimizer(0, TOKEN, {"lr": 0.1, "url": URL}, [{"lr": 0.1, "x": TOKEN}], {"s": TOKEN})
    run.link("uses", TOKEN)
    run.declare_metric("other", metric=TOKEN)
    run.log({"other": 1.0})
    histhooks.recorder.note_capture("mine", "failed", TOKEN, run=run)
    from histhooks._record.engine import engine
    engine.session.event("mine", TOKEN)
    import random
    random.seed(TOKEN)
    try:
        with histhooks.start_run("inner"):
            try:
                raise KeyError(TOKEN)
            except KeyError as inner:
                error = ValueError("login with password='" + MARK + "' failed " + URL)
                error.add_note("note " + TOKEN)
                raise error from inner
    except ValueError:
        pass
    error = RuntimeError("x " * 4990 + TOKEN)
    try:
        with histhooks.start_run(group := "second " + URL):
            raise error
    except RuntimeError:
        pass
    try:
        with histhooks.start_run("third"):
            raise SystemExit("y " * 4995 + TOKEN)
    except SystemExit:
        pass
sys.exit("bye " + TOKEN)
"""


@pytest.mark.parametrize("place", ["store", "spool"])
def test_no_byte_of_a_secret_that_is_everywhere_reaches_the_disk(tmp_path: Path, place: str) -> None:
    pytest.importorskip("pandas")
    work = tmp_path / "program"
    work.mkdir()
    for command in (
        ["init", "-q", "-b", "branch-" + TOKEN],
        ["remote", "add", "origin", f"https://ann:{MARK}@example.org/{TOKEN}.git"],
    ):
        subprocess.run(["git", *command], cwd=work, check=True)
    script = work / "train.py"
    script.write_text(PROGRAM.replace('"hunter2" + "Sup3r"', 'os.environ["MARK_IS"]'))
    store = tmp_path / "h.db"
    if place == "spool":
        store.write_bytes(b"no store of ours")
    variables = {"HISTHOOKS_STORE": str(store), "HISTHOOKS_STRICT": "", "MARK_IS": MARK, "HISTHOOKS_PROJECT": TOKEN}
    variables |= {"HISTHOOKS_GROUP": f"group {TOKEN}", "HISTHOOKS_ACTOR": TOKEN, "MY_API_KEY": MARK}
    command = [sys.executable, "-m", "histhooks", "run", "train.py", "--password", MARK, f"--url=x://a:{MARK}@h", TOKEN]
    done = subprocess.run(
        command, cwd=work, env={**os.environ, **variables}, capture_output=True, text=True, timeout=120, check=False
    )
    assert "bye" in done.stderr, done.stderr
    assert done.returncode == 1
    files = [file for file in tmp_path.rglob("*") if file.is_file() and re.search(r"h\.db", str(file))]
    files += [file for file in tmp_path.rglob("*.db*") if file.is_file()]
    assert files
    for file in files:
        data = file.read_bytes()
        places = [data[max(0, found.start() - 80) : found.end() + 20] for found in re.finditer(MARK.encode(), data)]
        assert places == [], (file, places[:5])
    if place == "store":
        assert verify(store).problems == []
        names = [name for (name,) in query(store, "SELECT name FROM metric_summaries WHERE split = 'train' ORDER BY 1")]
        assert names == ["[masked]", "loss [masked]", "other"]
        params = dict(query(store, "SELECT key, value FROM latest_params"))
        assert params["partial"].startswith('{"$callable":"__main__.call","args":["[masked]"]')
        assert params["path"] == '"/data/[masked]"'


def test_each_rule_is_seen_by_the_look_that_comes_before_it() -> None:
    for key in (*SECRET_KEYS, *LONG_VALUE_KEYS):
        assert any(hint in key for hint in KEY_HINTS), key
    for hints, _ in AFTER:
        assert all(hint == hint.lower() for hint in hints)


@settings(max_examples=settings().max_examples // 4 or 1)
@given(st.sampled_from([*SHAPES, *AFTER]).flatmap(lambda rule: st.tuples(st.just(rule), st.from_regex(rule[1]))))
def test_what_a_rule_matches_is_seen(drawn: tuple[tuple[tuple[str, ...], str], str]) -> None:
    _, text = drawn
    assert needs(text)


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_masking_again_changes_nothing(value: object) -> None:
    masked = mask_value("config", value)
    assert mask_value("config", masked) == masked


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_token_is_masked_between_any_words(before: str, after: str) -> None:
    text = f"{before} {TOKEN} {after}"
    assert MARK not in mask_text(text)
    assert mask_text(text).count("\n") == text.count("\n")
