"""Secrets never reach the disk: they are judged by their key, by well-known shapes, and inside URLs.

docs/secrets.md is the page for users: the rules, both lists, and what no rule here can know. Nothing of the unmasked
text is kept, no hash either. Masked text keeps its number of lines, so that a diff or a traceback still reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, cast

from histhooks._secret_keys import EXEMPT_KEYS, LONG_VALUE_KEYS, SECRET_KEYS, TOKEN_OWNERS

MASK = "[masked]"


class _Lazy:
    """A pattern that is compiled when it is first used: all of them take longer than the rest of an import."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __getattr__(self, name: str) -> Any:
        pattern = re.compile(self._text)
        for method in ("match", "search", "sub", "findall"):
            setattr(self, method, getattr(pattern, method))
        return getattr(pattern, name)


def _lazily(text: str) -> re.Pattern[str]:
    return cast("re.Pattern[str]", _Lazy(text))


LONG = 12
_NUMBERS_ARE_PLAIN = frozenset({"pass", "pw", "pwd", "cookie", "cookies"})
_JOINED = tuple(key.replace("_", "") for key in SECRET_KEYS if len(key) > 5 and key not in _NUMBERS_ARE_PLAIN)

# Where lines end, as str.splitlines sees it.
_END = r"\r\n\v\f\x1c-\x1e\x85\u2028\u2029"
_FILLED = _lazily(rf"[^{_END}]+")

# The published prefixes of tokens and keys: GitHub, GitLab, AWS, Google, Slack, Stripe, OpenAI, Anthropic and so on.
_SHAPES = _lazily(
    r"(?<![A-Za-z0-9])(?:"
    r"A(?:KI|SI|BI|CC)A[A-Z0-9]{16}(?![A-Za-z0-9])"
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|gl(?:pat|ptt|dt|rt|cbt|oas)-[\w.-]{16,}"
    r"|AIza[\w-]{30,}|ya29\.[\w.-]{16,}|GOCSPX-[\w-]{16,}"
    r"|xox[a-z](?:\.xox[a-z])?-[\w-]{10,}|xapp-\d-[\w-]{10,}"
    r"|[sr]k_(?:live|test|prod)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{16,}"
    r"|sk-(?=[a-zA-Z_-]{0,60}\d)[\w-]{20,}|sk-(?:proj|ant|svcacct|admin|or)-[\w-]{16,}|sk-[A-Za-z0-9]{32,}"
    r"|hf_[A-Za-z0-9]{20,}|api_org_[A-Za-z0-9]{20,}|wandb_v\d_\w{20,}|gsk_[A-Za-z0-9]{30,}|r8_[A-Za-z0-9]{30,}"
    r"|xai-[A-Za-z0-9]{30,}|pplx-[A-Za-z0-9]{30,}|nvapi-[\w-]{30,}|lsv2_\w{30,}"
    r"|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{50,}|dckr_(?:pat|oat)_[\w-]{20,}|do[opr]_v1_[a-f0-9]{40,}"
    r"|SG\.[\w-]{16,}\.[\w-]{16,}|SK[0-9a-f]{32}(?![0-9a-f])|key-[0-9a-f]{32}(?![0-9a-f])|dapi[a-f0-9]{32}"
    r"|hv[sbr]\.[\w-]{20,}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|pul-[a-f0-9]{40}|sbp_[a-f0-9]{40}|gl(?:sa|c)_[\w=]{20,}"
    r"|lin_api_\w{30,}|ntn_[A-Za-z0-9]{30,}|sntry[su]_[\w=+/-]{30,}|dp\.[a-z]{2,5}\.\w{30,}"
    r"|\d{8,10}:AA[\w-]{32,}|AGE-SECRET-KEY-1[A-Z0-9]{40,}|EAACEdEose0cBA\w+"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){1,3}|eyJhcGlf[\w+/=-]{20,}|LS0tLS1CRUdJTi[\w+/=]{40,}"
    r"|\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}|\$6\$[^\s$]{1,40}\$[./A-Za-z0-9]{40,}"
    r")"
)
_AFTER = _lazily(  # a known beginning, which stays, and the secret behind it
    r"(?P<head>hooks\.slack\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/"
    r"|(?i:[?&](?:sig|(?:x-(?:amz|goog)-)?(?:signature|credential|security-token))=)"
    r"|(?i:(?<![\w])bearer[ \t]+(?=[^\s\"'`]{0,200}\d)(?=[^\s\"'`]{12}))"
    r"|(?i:(?<![\w])(?:wandb|docker|npm)[ \t]+login(?:[ \t]+-[\w-]+(?:[= ]\S+)?)*?[ \t]+)(?=[0-9a-f]{40})"
    r"|(?<![\w])sshpass[ \t]+-p[ \t]*|(?<![\w])(?:-u|--user)[ =](?=[^\s\"':]+:[^\s\"'])"
    r"|(?<![\w])(?:docker|podman)[ \t]+login[^\n]{0,200}?[ \t]-p[ \t]*)(?P<value>[^\s\"'`<>&\\]+)"
)
_URL = _lazily(
    r"://(?P<info>[^\s/?#\"'`<>\\]+|[^\s/:@\"'`<>\[\]\\]*:(?!\d{1,5}(?:[^\w]|$))[^\s@\"'`<>\\]+)@(?=[^\s@/\"'`])"
)
_PEM = _lazily(
    r"(?s)(?P<head>-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)"
    r"(?P<body>.*?(?=-----END [A-Z0-9 ]*PRIVATE KEY)|(?:(?:\\n|\\r|\s)*[+\- ]?[A-Za-z0-9+/=]{16,})+)"
)
_PEM_END = _lazily(
    rf"(?m)(?P<head>^)(?P<body>(?:[+\- ]?[ \t]*[A-Za-z0-9+/=]{{40,}}[{_END}]+)"
    rf"(?:[+\- ]?[ \t]*[A-Za-z0-9+/=]+[{_END}]+)*)"
    r"(?=[+\- ]?[ \t]*-----END [A-Z0-9 ]*PRIVATE KEY)"
)
_PEM_LINE = _lazily(rf"(?m)^([+\- ]?[ \t]*)[^\s{_END}][^{_END}]*")

_KEY_HINT = r"(?i:pass|pwd|pw\b|secret|token|key|cred|auth|cookie|bearer|jwt|conn|webhook|seed_phrase)"
_HINT = _lazily(_KEY_HINT)
# Text in which this finds nothing holds nothing that any rule masks.
_PREFILTER = _lazily(
    _KEY_HINT + r"|://|(?i:sig|user|login)|-u |sshpass|eyJ|LS0t|PRIVATE|\$[26]|:AA|EAAC|SG\.|SK[0-9a-f]|dapi|hv[sbr]\."
    r"|(?:A(?:KI|SI|BI|CC)A)|gh[pousr]_|_pat_|gl[a-z]{2,4}-|AIza|ya29|GOC|xox|xapp|[sr]k[_-]|whsec|hf_|_org_|wandb_|gsk_"
    r"|r8_|xai-|pplx|nvapi|lsv2|npm_|pypi-|_oat_|_v1_|shp|pul-|sbp_|gl(?:sa|c)_|lin_|ntn_|sntry|dp\.|AGE-"
)

_QUOTE = r"(?P<quote>\\*(?:\"\"\"|'''|[\"'`]))"
_QUOTED = _lazily(
    rf"(?P<head>[rbfuRBFU]{{0,2}}{_QUOTE})(?:(?<=\"\"\"|''')(?P<long>(?s:.)*?)(?=(?P=quote))"
    rf"|(?P<value>(?:(?!(?P=quote))(?:\\[^{_END}]|[^\\{_END}]|\\(?=[{_END}])|\\\Z))*))(?P<tail>(?P=quote))?"
)
_TYPE = (
    r"(?:\w+\.)?(?:Optional|Union|Annotated|Final|ClassVar|SecretStr|str|string|bytes|Any)\b"
    r"(?:\[[^\]\n]*\])?(?:[ \t]*\|[ \t]*\w+)*"
)
_KEY = _lazily(r"(?P<key>[\w.\-]+)(?P<close>\\*[\"'`])?\]?")
_ASSIGN = _lazily(rf"(?P<gap>[ \t]*:[ \t]*{_TYPE}[ \t]*=|\s*(?:[=!]=|:=|=>|=)|\s*:(?![:/=]))[ \t]*")
_NAME_VALUE = _lazily(r"\s*,?\s*(?:\\*[\"'])?(?i:value)(?:\\*[\"'])?\s*[:=]\s*")
_COMMA, _SPACES, _TAG = _lazily(r"\s*,\s*"), _lazily(r"[ \t]+"), _lazily(r"[^<>]*>")
_OPENED = _lazily(r"\s*[\[(]?\s*(?=[rbfuRBFU]{0,2}\\*[\"'`])")
_NEXT = _lazily(r"\s*[,+]?\s*(?=[rbfuRBFU]{0,2}\\*[\"'`])")
_BLOCK = _lazily(r"[|>][+\-\d]*[ \t]*\r?\n")
_SCHEME = r"(?:(?i:Bearer|Basic|Token|Digest|Negotiate|ApiKey|AWS4-HMAC-SHA256)[ \t]+)?"
_PLAIN = _lazily(rf"{_SCHEME}(?:\[masked\]|(?:[^\s\"'`;&,<>]|,(?![\s\"']|$|[\w.\-]*\s*[=:]))+)")
_HEADER_VALUE = _lazily(rf"[^\"'`{_END}]+")
_LINE_VALUE = _lazily(rf"[^{_END}]+?(?=[ \t]*,?(?:[ \t]+#[^{_END}]*)?(?:[{_END}]|\Z))")
_LINE_START = _lazily(r"[+\- ]?\s*(?:-\s+)?(?:export\s+|set\s+|const\s+|let\s+|var\s+)?[\"']?\Z")
_STATEMENT = _lazily(r"[+\- ]?\s*(?:if|elif|else|while|for|with|except|lambda|return|assert|case|class|async|def)\b")

_PLACEHOLDER = _lazily(
    r"(?:\s|[,;:|/@.-]|\$\{[^{}]*\}|\$[A-Z_][A-Z0-9_]*|\$\([^()]*\)|\{[^{}]*\}|\{\{[^{}]*\}\}|%\(\w+\)s|%[sr]|<[^<>]*>"
    r"|\*+|(?i:\[masked\]|\[redacted\]|bearer|basic|none|null|true|false)(?!\w))*\Z"
)
_CODE = _lazily(
    r"(?:\$\{|\$\(|\{\{|%\().*\Z|(?:None|True|False|null|none|true|false|str|bytes|int|bool|float|string|Any|object|self"
    rf"|raise|return|pass|continue|break|yield|print|not|await)\b(?:\W.*)?\Z|{_TYPE}\W*\Z"
    r"|[A-Za-z_][\w.]*(?:\(.*\)|\[.*\])[\w.()\[\]\"']*[,:]?\Z|[A-Za-z_][\w.]*\(\Z"
)
_NUMBER = _lazily(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\Z")
_WORDS = _lazily(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_RANDOM = _lazily(r"(?=[^\d]*\d)(?=[^A-Za-z]*[A-Za-z])[\w+/=.~-]{16,}\Z")
_SWITCH = _lazily(r"[a-z](?=[A-Z0-9])|[A-Z](?=[0-9])|[0-9](?=[A-Za-z])")
_CHUNK = 1 << 16


@lru_cache(maxsize=4096)
def _kind_of(key: str) -> str:
    """How a key is judged: `any` value, `text`, `long` values, `random` ones, or '' where it is none of ours."""
    words = [word.lower() for word in _WORDS.findall(key)]
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
    kind = _kind_of(key)
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
    if _PLACEHOLDER.match(value):
        return False
    if kind == "text":
        return not re.match(r"(?:[/~]|\.{1,2}/|[A-Za-z]:\\)[^\s;]*\Z", value)  # PWD is the working folder
    return kind == "any" or (_is_long(value) if kind == "long" else _is_random(value))


def _blot(text: str) -> str:
    """The mask, in each line of a text."""
    return _FILLED.sub(MASK, text) if text else text


def _mask_pem(text: str) -> str:
    def blot(found: re.Match[str]) -> str:
        first, *rest = re.split(rf"(?=[{_END}])", found["body"])
        return found["head"] + _blot(first) + "".join(_PEM_LINE.sub(rf"\1{MASK}", line) for line in rest)

    return _PEM_END.sub(blot, _PEM.sub(blot, text))


def _mask_url(found: re.Match[str]) -> str:
    info, scheme = found["info"], found.string[max(0, found.start() - 5) : found.start()].lower()
    if _PLACEHOLDER.match(info) or (":" not in info and not scheme.endswith(("http", "https"))):
        return found[0]
    return f"://{MASK}@"


def _mask_after(found: re.Match[str]) -> str:
    return found[0] if _PLACEHOLDER.match(found["value"]) else found["head"] + MASK


def _is_code(key: str, value: str) -> bool:
    """Whether an unquoted value is an expression of a program: a name, a call, a type; no literal."""
    value = value.rstrip(",;)]} \t")
    if _CODE.match(value) or (value.endswith("(") and _CODE.match(value)):
        return True
    last = re.fullmatch(r"(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)", value)
    if not last:
        return False
    own, other = _WORDS.findall(key.lower()), _WORDS.findall(last[1].lower())
    return ("." in value and _kind_of(last[1]) != "") or (own[-1:] == other[-1:] != [])


def _spans(text: str, found: re.Match[str]) -> list[tuple[int, int]]:
    """Where the values lie that belong to the key that was found; an empty list where there are none."""
    key, at, start = found["key"].strip("-."), found.end(), found.start()
    before = text[max(0, start - 3) : start]
    line = text[max(text.rfind("\n", max(0, start - 400), start) + 1, start - 400) : start]
    assign, is_named = _ASSIGN.match(text, at), False
    if assign:
        at = assign.end()
    elif named := _NAME_VALUE.match(text, at):
        at, is_named = named.end(), True
    elif found["close"] and (before[:-1].rstrip().endswith("(") or found["key"].startswith("--")):
        comma = _COMMA.match(text, at)
        quoted = _QUOTED.match(text, comma.end()) if comma else None
        return _quoted_spans(text, quoted, key) if quoted and not quoted["value"].startswith("-") else []
    elif before.endswith("<") and (tag := _TAG.match(text, at)):
        end = text.find("<", tag.end())
        return [(tag.end(), end)] if end > 0 and is_secret_key(key, text[tag.end() : end]) else []
    elif found["key"].startswith("-") or re.search(r"(?:\bENV|\bsetenv|\blogin[ \t]+\S+)[ \t]+\Z", line):
        spaces = _SPACES.match(text, at)
        if not spaces or text[spaces.end() : spaces.end() + 1] in ("-", "=", ":"):
            return []
        at = spaces.end()
    else:
        return []
    if opened := _OPENED.match(text, at):
        quoted = _QUOTED.match(text, opened.end())
        return _quoted_spans(text, quoted, key, several="[" in opened[0] or "(" in opened[0]) if quoted else []
    is_line = bool(_LINE_START.match(line)) and not is_named
    gap = assign["gap"] if assign else ""
    if is_line and gap.endswith(":") and (block := _BLOCK.match(text, at)):
        indent = len(line) - len(line.lstrip(" "))
        body = re.compile(rf"(?:[ \t]{{{indent + 1},}}[^\r\n]*(?:\r?\n|\Z)|[ \t]*\r?\n)*").match(text, block.end())
        return [(block.end(), body.end())] if body and body[0] and _kind_of(key) == "any" else []
    words = key.lower()
    if gap.endswith((":", "=")) and words.endswith(("authorization", "cookie")):
        value = _HEADER_VALUE.match(text, at)
    elif is_line and (gap.endswith(":") or gap[:1] in (" ", "\t")) and text[at - 1 : at] in (" ", "\t"):
        value = _LINE_VALUE.match(text, at)
    elif gap.endswith(":") and _STATEMENT.match(line):
        return []
    else:
        value = _PLAIN.match(text, at)
    return _plain_span(key, value)


def _plain_span(key: str, value: re.Match[str] | None) -> list[tuple[int, int]]:
    if value is None or _is_code(key, value[0]):
        return []
    bare = value[0] if value[0].endswith(MASK) else value[0].rstrip(",;)]}")
    judged: object = float(bare) if _NUMBER.match(bare) else bare
    return [(value.start(), value.start() + len(bare))] if bare and is_secret_key(key, judged) else []


def _quoted_spans(text: str, quoted: re.Match[str] | None, key: str, several: bool = False) -> list[tuple[int, int]]:
    spans = []
    while quoted:
        group = "value" if quoted["long"] is None else "long"
        if is_secret_key(key, quoted[group]):
            spans.append(quoted.span(group))
        following = _NEXT.match(text, quoted.end()) if several else None
        quoted = _QUOTED.match(text, following.end()) if following else None
    return spans


def _mask_assigned(text: str) -> str:
    """Mask what is assigned to a secret key: ``KEY=x``, ``"key": "x"``, ``--key x``, ``<key>x</key>`` and so on."""
    pieces, done, at = [], 0, 0
    while hint := _HINT.search(text, at):
        start = hint.start()
        while start > at and hint.start() - start < 80 and (text[start - 1].isalnum() or text[start - 1] in "_.-"):
            start -= 1
        found = _KEY.match(text, start)
        if found is None:
            break
        at = max(found.end("key"), hint.end())
        if not _kind_of(found["key"].strip("-.")):
            continue
        for first, last in _spans(text, found):
            pieces += [text[done:first], _blot(text[first:last])]
            done = at = last
    return "".join([*pieces, text[done:]]) if pieces else text


def _mask_once(text: str) -> str:
    text = _SHAPES.sub(MASK, text)
    text = _AFTER.sub(_mask_after, text)
    if "://" in text:
        text = _URL.sub(_mask_url, text)
    return _mask_assigned(text)


def _chunks(text: str) -> list[str]:
    """Cut a long text between lines with nothing in them, so that no scan holds the interpreter for long."""
    chunks, done = [], 0
    while len(text) - done > _CHUNK:
        end = text.find("\n", done + _CHUNK) + 1
        while (
            end and _PREFILTER.search(text, text.rfind("\n", 0, max(0, end - 200)) + 1, end) and end - done < 4 * _CHUNK
        ):
            end = text.find("\n", end) + 1
        if not end:
            break
        chunks.append(text[done:end])
        done = end
    return [*chunks, text[done:]]


def mask_text(text: str) -> str:
    """Mask the secrets in a text.

    Parameters
    ----------
    text : str
        A command line, message, traceback, diff, cell or note.

    Returns
    -------
    str
        The text with as many lines as before. Masking it again changes nothing.

    Examples
    --------
    >>> mask_text("postgres://ann:pw@db/runs --password=hunter2 lr=0.1")
    'postgres://[masked]@db/runs --password=[masked] lr=0.1'
    """
    if not _PREFILTER.search(text):
        return text
    if "PRIVATE KEY" in text:
        text = _mask_pem(text)
    return "".join(map(_settled, _chunks(text))) if len(text) > _CHUNK else _settled(text)


def _settled(text: str) -> str:
    for _ in range(8):
        masked = _mask_once(text)
        if masked == text:
            break
        text = masked
    return text


def mask_value(key: str, value: Any) -> Any:
    """Mask a value by its key, and what lies inside it by theirs.

    Parameters
    ----------
    key : str
    value : object
        Dicts, lists and tuples are gone through and never changed in place; what is under a secret key is masked to
        the last leaf. Other objects come back as they are.

    Returns
    -------
    object

    Examples
    --------
    >>> mask_value("optimizer", {"lr": 0.1, "api_key": "abc"})
    {'lr': 0.1, 'api_key': '[masked]'}
    """
    return _mask_value(key, value, 0)


def _mask_value(key: str, value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _blot(value) if is_secret_key(key, value) else mask_text(value)
    if isinstance(value, (bytes, bytearray, int, float)) or value is None:
        return MASK if is_secret_key(key, value) and value is not None else value
    if depth > 50:
        return MASK  # a value this deep, or one that holds itself, is nothing a person wrote
    if isinstance(value, Mapping):
        under = _kind_of(key) == "any"
        named = next((value[n] for n in ("name", "key") if isinstance(value.get(n), str)), None)
        masked: dict[Any, Any] = {}
        for name, inner in value.items():
            own = named if name == "value" and named is not None else name
            shown = mask_text(name) if isinstance(name, str) else name
            while shown in masked:
                shown += "'"
            masked[shown] = _mask_value(key if under else str(own), inner, depth + 1)
        return masked
    if type(value) in (list, tuple):
        return type(value)(_mask_value(key, inner, depth + 1) for inner in value)
    return value


def mask_argv(arguments: Sequence[str]) -> list[str]:
    """Mask a command line, in which ``--password VALUE`` is two arguments.

    Parameters
    ----------
    arguments : list of str

    Returns
    -------
    list of str

    Examples
    --------
    >>> mask_argv(["train.py", "--password", "hunter2", "-u", "ann:pw", "api_key=abc"])
    ['train.py', '--password', '[masked]', '-u', '[masked]', 'api_key=[masked]']
    """
    masked: list[str] = []
    for before, argument in zip(chain([""], arguments), arguments):
        option = before.lstrip("-") if before.startswith("-") and "=" not in before else ""
        key, equals, value = argument.partition("=")
        if option and not argument.startswith("-") and is_secret_key(option, argument):
            masked.append(_blot(argument))
        elif option in ("u", "user") and re.match(r"[^\s:/]+:[^\s/]", argument):
            masked.append(MASK)
        elif equals and re.fullmatch(r"[\w.+/@~-]+", key) and is_secret_key(key, value):
            masked.append(f"{key}={_blot(value)}")
        else:
            masked.append(mask_text(argument))
    return masked
