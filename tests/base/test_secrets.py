"""Secrets are masked before they reach the disk; what only looks like one is left alone."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from histhooks._base.secret_keys import EXEMPT_KEYS, LONG_VALUE_KEYS, SECRET_KEYS, TOKEN_OWNERS
from histhooks._base.secrets import MASK, is_secret_key, mask_argv, mask_text, mask_value

WORD = "q8Zt" + "Xw93LmVb27Rk"
PLANTED = [
    f"postgres://user:{WORD}@host/db",
    f"https://{WORD}@github.com/x/y",
    f"export API_KEY={WORD}",
    f'password = "{WORD}"',
    f"{{'secret': '{WORD}', 'a': 1}}",
    f"--password {WORD} --x 1",
    f"--api-key={WORD}",
    f"Authorization: Bearer {WORD}",
    f'"token": "{WORD}"',
    f"aws_secret_access_key: {WORD}",
    f"-----BEGIN RSA PRIVATE KEY-----\n{WORD}\n{WORD}\n-----END RSA PRIVATE KEY-----",
    f"+DB_PASSWORD={WORD}",
    f"client_secret: '{WORD}'",
    f"https://x/?sig={WORD}&a=1",
    f"WANDB_API_KEY={WORD}{WORD}",
    "key is " + "AKIA" + "ABCDEFGHIJKLMNOP",
    "key is " + "ghp_" + "a1" * 18,
    "key is " + "hf_" + "aB3" * 12,
    "key is " + "xoxb-" + "123456789012-abcdefghij",
    "key is " + "AIza" + "aB3-" * 9,
    "key is " + "eyJ" + "hbGciOiJI.eyJ" + "zdWIiOiIx.c2lnbmF0dXJl",
]


@pytest.mark.parametrize("text", PLANTED)
def test_a_planted_secret_is_masked_and_lines_stay(text: str) -> None:
    masked = mask_text(text)
    assert masked != text
    assert WORD not in masked
    assert masked.count("\n") == text.count("\n")
    assert mask_text(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "pad_token = '<pad>'",
        "num_tokens=500",
        "password: str | None = None",
        "sorted(x, key=lambda x: x)",
        "tokenizer='bert-base-uncased'",
        "the token was lost",
        "loss 0.25 at step 100",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert mask_text(text) == text


def test_no_parameter_of_scikit_learn_is_a_secret() -> None:
    pytest.importorskip("sklearn")
    from sklearn.utils import all_estimators

    names = {name for _, kind in all_estimators() for name in inspect.signature(kind).parameters}
    assert {name for name in names if is_secret_key(name, "a_long_value_without_spaces_1")} == set()


@pytest.mark.parametrize("name", ["num_tokens", "token_pattern", "pad_token", "tokenizer", "keys", "max_new_tokens"])
def test_public_exemptions_hold(name: str) -> None:
    assert not is_secret_key(name, WORD)


def test_arguments_and_nested_values_are_masked_by_their_key() -> None:
    assert mask_argv(["t.py", "--token", WORD, "--lr", "0.1"]) == ["t.py", "--token", MASK, "--lr", "0.1"]
    given = {"db": {"password": WORD, "port": 1}}
    assert mask_value("config", given) == {"db": {"password": MASK, "port": 1}}
    assert given["db"]["password"] == WORD


def test_no_byte_of_a_planted_secret_is_in_a_store(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "settings.py").write_text(f'API_KEY = "{WORD}"\n')
    (tmp_path / "train.py").write_text(
        f"""
import histhooks
with histhooks.start_run("mine", params={{"db": {{"password": "{WORD}"}}}}, tags={{"api_key": "{WORD}"}}) as run:
    run.note("postgres://me:{WORD}@host/db")
    run.event("note", "password={WORD}")
    run.log_results({{"secret": "{WORD}"}})
    raise ValueError("cannot log in with password='{WORD}'")
"""
    )
    environment = {**os.environ, "HISTHOOKS_STORE": str(tmp_path / "h.db"), "HISTHOOKS_STRICT": "", "MY_TOKEN": WORD}
    command = [sys.executable, "train.py", "--password", WORD]
    subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, timeout=300)
    files = list(tmp_path.glob("h.db*"))
    assert files
    for file in files:
        assert WORD.encode() not in file.read_bytes()


def test_the_page_for_users_names_every_entry_of_the_lists() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "guide" / "secrets.md").read_text(encoding="utf-8")
    for name in (*SECRET_KEYS, *LONG_VALUE_KEYS, *TOKEN_OWNERS, *EXEMPT_KEYS):
        assert f"`{name}`" in page, f"docs/guide/secrets.md does not name {name}"
