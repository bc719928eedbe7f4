"""Secrets never reach the disk: they are judged by the name of their key, by well-known shapes, and inside URLs.

No hash of the unmasked text is kept either. Masked text keeps its number of lines. What no rule here can know (a
password under an innocent name, in an unknown shape) is not found; docs/secrets.md says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "[masked]"

# A key is secret where one of these is among its words, or is the key itself without separators.
SECRET_KEYS = (
    "password", "passwd", "passphrase", "pwd", "secret", "secrets", "apikey", "api_key", "access_key", "accesskey",
    "private_key", "privatekey", "secret_key", "client_secret", "credential", "credentials", "auth_token",
    "access_token", "refresh_token", "id_token", "bearer", "authorization", "connection_string", "connstr", "dsn",
    "session_cookie", "cookie", "signing_key", "encryption_key", "ssh_key", "webhook_url", "sas_token", "token",
)  # fmt: skip
# Names of the field that hold one of these words and are no secrets.
EXEMPT_KEYS = (
    "num_tokens", "max_tokens", "min_tokens", "token_pattern", "pad_token", "pad_token_id", "eos_token", "bos_token",
    "unk_token", "sep_token", "cls_token", "mask_token", "eos_token_id", "bos_token_id", "token_type_ids",
    "tokenizer", "tokenizer_name", "tokenize", "tokens", "keys", "key", "forced_bos_token_id", "forced_eos_token_id",
    "decoder_start_token_id", "suppress_tokens", "additional_special_tokens", "max_new_tokens", "min_new_tokens",
    "num_input_tokens_seen", "include_num_input_tokens_seen", "token_healing", "image_token_id", "secretary",
    "push_to_hub_token", "use_auth_token",
)  # fmt: skip
_NEVER_EXEMPT = frozenset({"push_to_hub_token", "use_auth_token"})
_SECRET = frozenset(SECRET_KEYS)
_EXEMPT = frozenset(EXEMPT_KEYS) - _NEVER_EXEMPT
_LONG = 12

_KEY_WORD = (
    r"[\w.-]*?(?:pass(?:word|wd|phrase)|pwd|secrets?|api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key|"
    r"encryption[_-]?key|credentials?|token|authorization|connection[_-]?string|dsn|cookie)[\w.-]*?"
)
_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\b(?:AKIA|ASIA|AIDA|AROA)[A-Z0-9]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[\w-]{16,}"
    r"|\bxox[abposr]-[\w-]{10,}|\bAIza[\w-]{30,}|\bya29\.[\w-]{20,}"
    r"|\bsk-[\w-]{16,}|\b[spr]k_(?:live|test)_[A-Za-z0-9]{10,}|\bhf_[A-Za-z0-9]{20,}|\bnpm_[A-Za-z0-9]{30,}"
    r"|\bpypi-[\w-]{16,}|\bdop_v1_[a-f0-9]{40,}|\bSG\.[\w-]{16,}\.[\w-]{16,}|\bdapi[a-f0-9]{32}\b"
    r"|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*"
)
_URL = re.compile(r"(?P<scheme>\b[a-zA-Z][\w+.-]*://)(?P<user>[^\s/:@'\"]*)(?::[^\s/@'\"]*)?@")
_QUERY = re.compile(r"(?P<head>[?&](?:sig|signature|X-Amz-Signature|X-Amz-Security-Token)=)[^&\s'\"]+", re.IGNORECASE)
_HEADER = re.compile(r"(?P<head>\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"(?P<open>['\"]?)(?P<key>{_KEY_WORD})(?P=open)(?P<gap>\s*(?::=|=|:)\s*|(?<=[\w])\s+(?=['\"]))"
    r"(?P<value>(?P<q>'''|\"\"\"|'|\")(?:(?!(?P=q)).)*(?P=q)|[^\s,;&'\"(){}\[\]]+)",
    re.IGNORECASE,
)
_OPTION = re.compile(rf"(?P<head>--?{_KEY_WORD}[= ]\s*)(?P<value>'[^']*'|\"[^\"]*\"|[^\s'\"-][^\s'\"]*)", re.IGNORECASE)
_HINT = re.compile(
    r"pass|pwd|secret|key|credential|token|authorization|connection|dsn|cookie|://|bearer|basic|AKIA|ASIA|AIDA|AROA|gh[pousr]_"
    r"|github_pat|glpat|xox|AIza|ya29|sk-|_live_|_test_|hf_|npm_|pypi-|dop_v1|SG\.|dapi|eyJ|-----BEGIN|sig",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PLAIN_VALUE = re.compile(r"(?i)^(?:none|null|true|false|nan|[-+]?[\d.]+(?:e[-+]?\d+)?)$")


def is_secret_key(key: str, value: object = None) -> bool:
    """Whether what stands under a name is to be masked.

    Parameters
    ----------
    key : str
        Name of a param, tag, variable or option; dotted and ``__`` names are judged by each of their parts.
    value : object, optional
        A key with `token` masks long values without spaces only.

    Returns
    -------
    bool
    """
    if value is None or isinstance(value, (bool, int, float)):
        return False
    name = _CAMEL.sub("_", str(key)).lower().replace("-", "_").replace(" ", "_").strip("_")
    last = re.split(r"[./]|__", name)[-1]
    if last in _EXEMPT or name in _EXEMPT:
        return False
    words = set(last.split("_")) | set(re.split(r"[./_]+", name))
    for secret in _SECRET - {"token"}:
        if secret in words or secret == last or ("_" in secret and re.search(rf"(^|_){secret}(_|$)", name)):
            return True
    if "token" in words:
        return not isinstance(value, str) or (len(value) >= _LONG and not re.search(r"\s", value))
    return False


def _lines(text: str) -> str:
    return MASK + "\n" * text.count("\n")


def _assigned(found: re.Match[str]) -> str:
    value, quote = found["value"], found["q"] or ""
    inner = value[len(quote) : len(value) - len(quote)] if quote else value
    if MASK in inner or not inner or _PLAIN_VALUE.match(inner) or not is_secret_key(found["key"], inner):
        return found[0]
    if not quote and re.match(r"[A-Za-z_][\w.]*$", inner) and "." in inner:
        return found[0]  # a reference such as os.environ, no literal
    if not quote and inner.lower() in ("str", "bytes", "int", "bool", "float", "any", "self", "lambda", "optional"):
        return found[0]
    return f"{found['open']}{found['key']}{found['open']}{found['gap']}{quote}{_lines(inner)}{quote}"


def _option(found: re.Match[str]) -> str:
    value = found["value"].strip("'\"")
    key = found["head"].strip("-= ").strip()
    if MASK in value or _PLAIN_VALUE.match(value) or not is_secret_key(key, value):
        return found[0]
    return found["head"] + MASK


def mask_text(text: str) -> str:
    """Mask the secrets in a text.

    Parameters
    ----------
    text : str
        A command line, message, traceback, diff, cell or note.

    Returns
    -------
    str
        The text with as many lines as before.
    """
    if not _HINT.search(text):
        return text
    text = _SHAPES.sub(lambda found: _lines(found[0]), text)
    text = _URL.sub(lambda found: f"{found['scheme']}{MASK}@", text)
    text = _QUERY.sub(lambda found: found["head"] + MASK, text)
    text = _HEADER.sub(lambda found: found["head"] + MASK, text)
    text = _ASSIGNED.sub(_assigned, text)
    return _OPTION.sub(_option, text)


def mask_value(key: str, value: Any) -> Any:
    """Mask a value by its key, and what lies inside it by theirs.

    Parameters
    ----------
    key : str
    value : object
        Mappings, lists and tuples are gone through; they are never changed in place.

    Returns
    -------
    object
    """
    if isinstance(value, str):
        return MASK if value and is_secret_key(key, value) else mask_text(value)
    if isinstance(value, (bytes, bytearray)):
        return MASK if is_secret_key(key, value) else value
    if isinstance(value, Mapping):
        return {name: mask_value(f"{key}.{name}", inner) for name, inner in value.items()}
    if type(value) in (list, tuple):
        return [mask_value(key, inner) for inner in value]
    return value


def mask_argv(arguments: list[str]) -> list[str]:
    """Mask a command line, where ``--password VALUE`` is two arguments.

    Parameters
    ----------
    arguments : list of str

    Returns
    -------
    list of str
    """
    masked: list[str] = []
    name = ""
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if name and not argument.startswith("-") and is_secret_key(name, argument):
            masked.append(MASK)
        elif equals and is_secret_key(key.lstrip("-"), value):
            masked.append(f"{key}={MASK}")
        else:
            masked.append(mask_text(argument))
        name = argument.lstrip("-") if argument.startswith("-") and not equals else ""
    return masked
