"""Decide by its key whether a value is a secret; docs/guide/secrets.md shows the lists to users."""

from __future__ import annotations

import re
from functools import lru_cache

from histhooks._base.secret_shapes import lazily

# What is secret whatever the value: each entry counts where its words stand together anywhere in a key, or, written
# as one word, at the end of one (PGPASSWORD).
SECRET_KEYS = (
    "password", "passwd", "passphrase", "passcode", "passkey", "secret", "secrets", "credential", "credentials",
    "api_key", "api_keys", "app_key", "application_key", "access_key", "account_key", "auth_key", "client_key",
    "consumer_key", "deploy_key", "encryption_key", "fernet_key", "hmac_key", "license_key", "master_key",
    "private_key", "sas_key", "secret_key", "service_key", "service_account_key", "shared_key", "signing_key",
    "ssh_key", "storage_key", "subscription_key", "write_key", "authorization", "bearer", "connection_string",
    "connstr", "seed_phrase", "webhook", "webhook_url", "pass", "pw", "pwd", "cookie", "cookies",
)  # fmt: skip
# What is secret only where the value is long (LONG, or 8 with letters and digits) and has no spaces.
LONG_VALUE_KEYS = ("token", "api_tokens", "access_tokens", "auth_tokens", "auth", "jwt")
# Whose token is a key to an account; another lower-case name before it (`eot_token`) is a token of a vocabulary, and
# masked only where it looks random.
TOKEN_OWNERS = (
    "access",
    "account",
    "admin",
    "anthropic",
    "api",
    "app",
    "auth",
    "aws",
    "azure",
    "bearer",
    "bot",
    "ci",
    "client",
    "cloud",
    "comet",
    "csrf",
    "db",
    "deploy",
    "device",
    "discord",
    "docker",
    "gcp",
    "git",
    "github",
    "gitlab",
    "google",
    "hf",
    "hub",
    "huggingface",
    "id",
    "identity",
    "jwt",
    "key",
    "kube",
    "login",
    "master",
    "my",
    "neptune",
    "npm",
    "oauth",
    "openai",
    "personal",
    "private",
    "pypi",
    "refresh",
    "registry",
    "replicate",
    "secret",
    "security",
    "sentry",
    "server",
    "service",
    "session",
    "slack",
    "sso",
    "telegram",
    "upload",
    "user",
    "vault",
    "wandb",
    "web",
    "write",
    "xsrf",
)
# What is no secret although it holds one of these words: each entry counts at the end of a key.
EXEMPT_KEYS = (
    "bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token", "oov_token",
    "start_token", "end_token", "stop_token", "blank_token", "special_token", "prefix_token", "suffix_token",
    "middle_token", "bod_token", "boi_token", "eoi_token", "image_token", "audio_token", "video_token",
    "language_token", "delimiter_token", "decoder_start_token", "separator_token", "word_boundary_token",
    "token_pattern", "token_level", "token_type", "token_id", "token_ids", "token_strategy",
    "cache_key", "dataset_key", "feature_key", "group_key", "image_key", "index_key", "input_key", "label_key",
    "output_key", "partition_key", "primary_key", "foreign_key", "public_key", "sort_key", "target_key",
    "path", "file", "files", "dir", "folder", "name", "names", "type", "mode", "method", "length", "size", "count",
    "limit", "policy", "manager", "helper", "provider", "expiry", "ttl", "timeout", "required", "enabled", "index",
    "oldpwd", "attempts", "channel",
)  # fmt: skip

LONG = 12
_NUMBERS_ARE_PLAIN = frozenset({"pass", "pw", "pwd", "cookie", "cookies"})
_JOINED = tuple(key.replace("_", "") for key in SECRET_KEYS if len(key) > 5 and key not in _NUMBERS_ARE_PLAIN)
PLACEHOLDER = lazily(
    r"(?:\s|[,;:|/@.-]|\$\{[^{}]*\}|\$[A-Z_][A-Z0-9_]*|\$\([^()]*\)|\{[^{}]*\}|\{\{[^{}]*\}\}|%\(\w+\)s|%[sr]|<[^<>]*>"
    r"|\*+|(?i:\[masked\]|\[redacted\]|bearer|basic|none|null|true|false)(?!\w))*\Z"
)
WORDS = lazily(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_RANDOM = lazily(r"(?=[^\d]*\d)(?=[^A-Za-z]*[A-Za-z])[\w+/=.~-]{16,}\Z")
_SWITCH = lazily(r"[a-z](?=[A-Z0-9])|[A-Z](?=[0-9])|[0-9](?=[A-Za-z])")


@lru_cache(maxsize=4096)
def kind_of(key: str) -> str:
    """Which values of a key are masked: `any`, `text`, `long` or `random` ones, or '' if the key is in no list."""
    words = [word.lower() for word in WORDS.findall(key)]
    phrase = f"_{'_'.join(words)}_"
    if any(phrase.endswith(f"_{exempt}_") for exempt in EXEMPT_KEYS):
        return ""
    found = [secret for secret in SECRET_KEYS if f"_{secret}_" in phrase]
    if found:
        return "text" if _NUMBERS_ARE_PLAIN.issuperset(found) else "any"
    if any(word.endswith(_JOINED) for word in words):
        return "any"
    if any(f"_{name}_" in phrase for name in LONG_VALUE_KEYS[1:]):
        return "long"
    if "token" in words:
        is_owned = words[-1] == "token" and (len(words) == 1 or words[-2] in TOKEN_OWNERS)
        return "long" if is_owned or key.isupper() else "random"
    return "random" if words and words[-1] == "key" else ""


def _is_long(text: str) -> bool:
    if re.search(r"\s", text) or (text[:1], text[-1:]) in (("<", ">"), ("[", "]")):
        return False
    mixed = re.search(r"\d", text) and re.search(r"[A-Za-z]", text)
    return len(text) >= (8 if mixed else LONG)


def _is_random(text: str) -> bool:
    return bool(_RANDOM.match(text)) and len(_SWITCH.findall(text)) * 5 >= len(text)


def is_secret_key(key: str, value: object = None) -> bool:
    """Whether what stands under a key is masked.

    Parameters
    ----------
    key : str
        Name of a param, tag, variable or option: ``db_password``, ``apiKey``, ``X-Api-Key``, ``clf__token``.
    value : object, optional
        The value, for the keys that are judged by it; None asks whether a key is secret whatever its value.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_secret_key("db_password"), is_secret_key("num_tokens"), is_secret_key("pad_token", "</s>")
    (True, False, False)
    """
    kind = kind_of(key)
    if not kind or isinstance(value, bool):
        return False
    if value is None:
        return kind in ("any", "text")
    if isinstance(value, (int, float)):
        return kind == "any"
    if isinstance(value, (bytes, bytearray)):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return kind in ("any", "text")
    if PLACEHOLDER.match(value):
        return False
    if kind == "text":
        return not re.match(r"(?:[/~]|\.{1,2}/|[A-Za-z]:\\)[^\s;]*\Z", value)  # PWD is the working folder
    return kind == "any" or (_is_long(value) if kind == "long" else _is_random(value))
