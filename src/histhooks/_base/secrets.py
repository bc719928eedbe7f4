"""Mask secrets before they reach the disk: by key, by known shapes, and inside URLs.

docs/guide/secrets.md is the page for users: the rules, both lists, and what no rule can find. Nothing of the unmasked
text is kept, not even a hash. Masked text keeps its number of lines, so that a diff or a traceback stays readable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from histhooks._base.secret_keys import PLACEHOLDER, WORDS, is_secret_key, kind_of
from histhooks._base.secret_shapes import (
    ADDRESS,
    AFTER_PATTERN,
    BEHIND,
    KEY_HINT_PATTERN,
    KEYED,
    PEM,
    SHAPE,
    SHAPES_PATTERN,
    lazily,
    needs,
)

MASK = "[masked]"


# If lines end, as in str.splitlines.
_END = r"\r\n\v\f\x1c-\x1e\x85\u2028\u2029"
_FILLED = lazily(rf"[^{_END}]+")

_URL = lazily(
    r"://(?P<info>[^\s/?#\"'`<>\\]+|[^\s/:@\"'`<>\[\]\\]*:(?!\d{1,5}(?:[^\w]|$))[^\s@\"'`<>\\]+)@(?=[^\s@/\"'`])"
)
_PEM = lazily(
    r"(?s)(?P<head>-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)"
    r"(?P<body>.*?(?=-----END [A-Z0-9 ]*PRIVATE KEY)|(?:(?:\\n|\\r|\s)*[+\- ]?[A-Za-z0-9+/=]{16,})+)"
)
_PEM_END = lazily(
    rf"(?m)(?P<head>^)(?P<body>(?:[+\- ]?[ \t]*[A-Za-z0-9+/=]{{40,}}[{_END}]+)"
    rf"(?:[+\- ]?[ \t]*[A-Za-z0-9+/=]+[{_END}]+)*)"
    r"(?=[+\- ]?[ \t]*-----END [A-Z0-9 ]*PRIVATE KEY)"
)
_PEM_LINE = lazily(rf"(?m)^([+\- ]?[ \t]*)[^\s{_END}][^{_END}]*")

_QUOTE = r"(?P<quote>\\*(?:\"\"\"|'''|[\"'`]))"
_QUOTED = lazily(
    rf"(?P<head>[rbfuRBFU]{{0,2}}{_QUOTE})(?:(?<=\"\"\"|''')(?P<long>(?s:.)*?)(?=(?P=quote))"
    rf"|(?P<value>(?:(?!(?P=quote))(?:\\[^{_END}]|[^\\{_END}]|\\(?=[{_END}])|\\\Z))*))(?P<tail>(?P=quote))?"
)
_TYPE = (
    r"(?:\w+\.)?(?:Optional|Union|Annotated|Final|ClassVar|SecretStr|str|string|bytes|Any)\b"
    r"(?:\[[^\]\n]*\])?(?:[ \t]*\|[ \t]*\w+)*"
)
_KEY = lazily(r"(?P<key>[\w.\-]+)(?P<close>\\*[\"'`])?\]?")
_ASSIGN = lazily(rf"(?P<gap>[ \t]*:[ \t]*{_TYPE}[ \t]*=|\s*(?:[=!]=|:=|=>|=)|\s*:(?![:/=]))[ \t]*")
_NAME_VALUE = lazily(r"\s*,?\s*(?:\\*[\"'])?(?i:value)(?:\\*[\"'])?\s*[:=]\s*")
_COMMA, _SPACES, _TAG = lazily(r"\s*,\s*"), lazily(r"[ \t]+"), lazily(r"[^<>]*>")
_OPENED = lazily(r"\s*[\[(]?\s*(?=[rbfuRBFU]{0,2}\\*[\"'`])")
_NEXT = lazily(r"\s*[,+]?\s*(?=[rbfuRBFU]{0,2}\\*[\"'`])")
_BLOCK = lazily(r"[|>][+\-\d]*[ \t]*\r?\n")
_SCHEME = r"(?:(?i:Bearer|Basic|Token|Digest|Negotiate|ApiKey|AWS4-HMAC-SHA256)[ \t]+)?"
_PLAIN = lazily(rf"{_SCHEME}(?:\[masked\]|(?:[^\s\"'`;&,<>]|,(?![\s\"']|$|[\w.\-]*\s*[=:]))+)")
_HEADER_VALUE = lazily(rf"[^\"'`{_END}]+")
_LINE_VALUE = lazily(rf"[^{_END}]+?(?=[ \t]*,?(?:[ \t]+#[^{_END}]*)?(?:[{_END}]|\Z))")
_LINE_START = lazily(r"[+\- ]?\s*(?:-\s+)?(?:export\s+|set\s+|const\s+|let\s+|var\s+)?[\"']?\Z")
_STATEMENT = lazily(r"[+\- ]?\s*(?:if|elif|else|while|for|with|except|lambda|return|assert|case|class|async|def)\b")

_CODE = lazily(
    r"(?:\$\{|\$\(|\{\{|%\().*\Z|(?:None|True|False|null|none|true|false|str|bytes|int|bool|float|string|Any|object|self"
    rf"|raise|return|pass|continue|break|yield|print|not|await)\b(?:\W.*)?\Z|{_TYPE}\W*\Z"
    r"|[A-Za-z_][\w.]*(?:\(.*\)|\[.*\])[\w.()\[\]\"']*[,:]?\Z|[A-Za-z_][\w.]*\(\Z"
)
_NUMBER = lazily(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\Z")
_LOGIN = lazily(r"[^\s:/]+:[^\s/]")  # user:password
_OPTION = lazily(r"--?[A-Za-z][^=\s]*\Z")
_CHUNK = 1 << 16


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
    if PLACEHOLDER.match(info) or (":" not in info and not scheme.endswith(("http", "https"))):
        return found[0]
    return f"://{MASK}@"


def _mask_after(found: re.Match[str]) -> str:
    head, value = found["head"], found["value"]
    if PLACEHOLDER.match(value) or (head[:5].lower() == "basic" and not _is_login(value)):
        return found[0]
    return head + MASK


def _is_login(value: str) -> bool:
    """Whether a word of base64 is ``user:password``, as an ``Authorization: Basic`` header has it."""
    import base64

    word = value.rstrip("=,;)]}")
    try:
        decoded = base64.b64decode(word + "=" * (-len(word) % 4), validate=True)
    except ValueError:
        return False
    return b":" in decoded and decoded.isascii()


def _is_code(key: str, value: str) -> bool:
    """Whether an unquoted value is an expression of a program: a name, a call, a type; no literal."""
    value = value.rstrip(",;)]} \t")
    if _CODE.match(value) or (value.endswith("(") and _CODE.match(value)):
        return True
    last = re.fullmatch(r"(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)", value)
    if not last:
        return False
    own, other = WORDS.findall(key.lower()), WORDS.findall(last[1].lower())
    return ("." in value and kind_of(last[1]) != "") or (own[-1:] == other[-1:] != [])


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
        return [(block.end(), body.end())] if body and body[0] and kind_of(key) == "any" else []
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
    while hint := KEY_HINT_PATTERN.search(text, at):
        start = hint.start()
        while start > at and hint.start() - start < 80 and (text[start - 1].isalnum() or text[start - 1] in "_.-"):
            start -= 1
        found = _KEY.match(text, start)
        if found is None:
            break
        at = max(found.end("key"), hint.end())
        if not kind_of(found["key"].strip("-.")):
            continue
        for first, last in _spans(text, found):
            pieces += [text[done:first], _blot(text[first:last])]
            done = at = last
    return "".join([*pieces, text[done:]]) if pieces else text


def _mask_once(text: str, needed: int) -> str:
    if needed & SHAPE:
        text = SHAPES_PATTERN.sub(MASK, text)
    if needed & BEHIND:
        text = AFTER_PATTERN.sub(_mask_after, text)
    if needed & ADDRESS:
        text = _URL.sub(_mask_url, text)
    return _mask_assigned(text) if needed & KEYED else text


def _chunks(text: str) -> list[str]:
    """Cut a long text between lines with nothing in them, so that no scan holds the interpreter for long."""
    chunks, done = [], 0
    while len(text) - done > _CHUNK:
        end = text.find("\n", done + _CHUNK) + 1
        while end and needs(text[text.rfind("\n", 0, max(0, end - 200)) + 1 : end]) and end - done < 4 * _CHUNK:
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
    needed = needs(text)
    if not needed:
        return text
    if needed & PEM:
        text = _mask_pem(text)
    return "".join(map(_settled, _chunks(text))) if len(text) > _CHUNK else _settled(text)


def _settled(text: str) -> str:
    needed = needs(text)
    for _ in range(8 if needed else 0):
        masked = _mask_once(text, needed)
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
        return _mask_mapping(key, value, depth)
    if type(value) in (list, tuple):
        return type(value)(_mask_members(key, value, depth))
    return value


def _mask_mapping(key: str, value: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
    cut = value.get("$cut") if len(value) == 1 else None
    if isinstance(cut, Mapping):
        return {"$cut": _mask_cut(key, cut, depth + 1)}
    under = kind_of(key) == "any"
    named = next((value[n] for n in ("name", "key") if isinstance(value.get(n), str)), None)
    masked: dict[Any, Any] = {}
    for name, inner in value.items():
        own = named if name == "value" and named is not None else name
        shown = mask_text(name) if isinstance(name, str) else name
        while shown in masked:
            shown += "'"
        is_ours = isinstance(name, str) and name[:1] == "$"
        masked[shown] = _mask_value(key if under or is_ours else str(own), inner, depth + 1)
    return masked


def _mask_cut(key: str, cut: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
    """What `values.py` left of a long value stands under the key of that value."""
    return {
        name: _mask_value(key, inner, depth + 1) if name in ("text", "items") else inner for name, inner in cut.items()
    }


def _mask_members(key: str, members: Sequence[Any], depth: int) -> Iterator[Any]:
    """Mask the members of a list: a command line, lines of a private key, pairs of key and value, or what else."""
    is_pairs = len(members) > 0 and all(map(_is_pair, members))
    option, in_pem = "", False
    for member in members:
        if type(member) is not str:
            option = ""
            if is_pairs:
                yield type(member)((mask_text(member[0]), _mask_value(member[0], member[1], depth + 2)))
            else:
                yield _mask_value(key, member, depth + 1)
            continue
        if in_pem:
            in_pem = "-----END" not in member
            yield _blot(member) if in_pem else member
            continue
        in_pem = "-----BEGIN" in member and "PRIVATE KEY" in member and "-----END" not in member
        if option and member[:1] != "-" and is_secret_key(option, member):
            yield _blot(member)
        elif option in ("u", "user") and _LOGIN.match(member):
            yield MASK
        else:
            yield _mask_value(key, member, depth + 1)
        option = member.lstrip("-") if _OPTION.match(member) else ""


def _is_pair(member: Any) -> bool:
    return type(member) in (list, tuple) and len(member) == 2 and type(member[0]) is str


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
        elif option in ("u", "user") and _LOGIN.match(argument):
            masked.append(MASK)
        elif equals and re.fullmatch(r"[\w.+/@~-]+", key) and is_secret_key(key, value):
            masked.append(f"{key}={_blot(value)}")
        else:
            masked.append(mask_text(argument))
    return masked
