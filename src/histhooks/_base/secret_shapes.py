"""The patterns that find secrets in text, and a prefilter that says which patterns a text needs.

A rule is a pattern with hints: literal words, at least one of which is in every text that the pattern matches. The
prefilter (:func:`needs`) is built from the hints alone, so it cannot miss a rule; a test draws texts from each pattern
and checks them. Searching for words costs a twentieth of searching with all patterns.
"""

from __future__ import annotations

import re
from typing import Any, cast


class _Lazy:
    """A pattern that is compiled when it is first used: all of them take longer than the rest of an import."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __getattr__(self, name: str) -> Any:
        pattern = re.compile(self._text)
        for method in ("match", "search", "sub", "findall", "fullmatch"):
            setattr(self, method, getattr(pattern, method))
        return getattr(pattern, name)


def lazily(text: str) -> re.Pattern[str]:
    """A pattern that is compiled when it is first used."""
    return cast("re.Pattern[str]", _Lazy(text))


# Hints, of which one stands in each text that matches (those of AFTER in lower case), and the pattern.
Rule = tuple[tuple[str, ...], str]

# The published prefixes of tokens and keys: GitHub, GitLab, AWS, Google, Slack, Stripe, OpenAI, Anthropic and so on.
SHAPES: tuple[Rule, ...] = (
    (("AKIA", "ASIA", "ABIA", "ACCA"), r"A(?:KI|SI|BI|CC)A[A-Z0-9]{16}(?![A-Za-z0-9])"),
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9]{20,}"),
    (("github_pat_",), r"github_pat_\w{20,}"),
    (("glpat-", "glptt-", "gldt-", "glrt-", "glcbt-", "gloas-"), r"gl(?:pat|ptt|dt|rt|cbt|oas)-[\w.-]{16,}"),
    (("AIza",), r"AIza[\w-]{30,}"),
    (("ya29.",), r"ya29\.[\w.-]{16,}"),
    (("GOCSPX-",), r"GOCSPX-[\w-]{16,}"),
    (("xox",), r"xox[a-z](?:\.xox[a-z])?-[\w-]{10,}"),
    (("xapp-",), r"xapp-\d-[\w-]{10,}"),
    (("k_live_", "k_test_", "k_prod_"), r"[sr]k_(?:live|test|prod)_[A-Za-z0-9]{10,}"),
    (("whsec_",), r"whsec_[A-Za-z0-9+/=]{16,}"),
    (("sk-",), r"sk-(?=[a-zA-Z_-]{0,60}\d)[\w-]{20,}"),
    (("sk-",), r"sk-(?:proj|ant|svcacct|admin|or)-[\w-]{16,}"),
    (("sk-",), r"sk-[A-Za-z0-9]{32,}"),
    (("hf_",), r"hf_[A-Za-z0-9]{20,}"),
    (("api_org_",), r"api_org_[A-Za-z0-9]{20,}"),
    (("wandb_v",), r"wandb_v\d_\w{20,}"),
    (("gsk_",), r"gsk_[A-Za-z0-9]{30,}"),
    (("r8_",), r"r8_[A-Za-z0-9]{30,}"),
    (("xai-",), r"xai-[A-Za-z0-9]{30,}"),
    (("pplx-",), r"pplx-[A-Za-z0-9]{30,}"),
    (("nvapi-",), r"nvapi-[\w-]{30,}"),
    (("lsv2_",), r"lsv2_\w{30,}"),
    (("npm_",), r"npm_[A-Za-z0-9]{30,}"),
    (("pypi-",), r"pypi-[\w-]{50,}"),
    (("dckr_",), r"dckr_(?:pat|oat)_[\w-]{20,}"),
    (("_v1_",), r"do[opr]_v1_[a-f0-9]{40,}"),
    (("SG.",), r"SG\.[\w-]{16,}\.[\w-]{16,}"),
    (("SK",), r"SK[0-9a-f]{32}(?![0-9a-f])"),
    (("key-",), r"key-[0-9a-f]{32}(?![0-9a-f])"),
    (("dapi",), r"dapi[a-f0-9]{32}"),
    (("hvs.", "hvb.", "hvr."), r"hv[sbr]\.[\w-]{20,}"),
    (("shpat_", "shpca_", "shppa_", "shpss_"), r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    (("pul-",), r"pul-[a-f0-9]{40}"),
    (("sbp_",), r"sbp_[a-f0-9]{40}"),
    (("glsa_", "glc_"), r"gl(?:sa|c)_[\w=]{20,}"),
    (("lin_api_",), r"lin_api_\w{30,}"),
    (("ntn_",), r"ntn_[A-Za-z0-9]{30,}"),
    (("sntrys_", "sntryu_"), r"sntry[su]_[\w=+/-]{30,}"),
    (("dp.",), r"dp\.[a-z]{2,5}\.\w{30,}"),
    ((":AA",), r"\d{8,10}:AA[\w-]{32,}"),
    (("AGE-SECRET-KEY-1",), r"AGE-SECRET-KEY-1[A-Z0-9]{40,}"),
    (("EAACEdEose0cBA",), r"EAACEdEose0cBA\w+"),
    (("eyJ",), r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){1,3}"),
    (("eyJhcGlf",), r"eyJhcGlf[\w+/=-]{20,}"),
    (("LS0tLS1CRUdJTi",), r"LS0tLS1CRUdJTi[\w+/=]{40,}"),
    (("$2a$", "$2b$", "$2x$", "$2y$"), r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}"),
    (("$6$",), r"\$6\$[^\s$]{1,40}\$[./A-Za-z0-9]{40,}"),
)
# A known beginning, which stays, and the secret behind it.
AFTER: tuple[Rule, ...] = (
    (("hooks.slack.com/",), r"(?i:hooks\.slack\.com/(?:services|workflows|triggers)/)"),
    (("/api/webhooks/",), r"(?i:discord(?:app)?\.com/api/webhooks/)"),
    (("webhook.office.com/",), r"(?i:webhook\.office\.com/webhookb2/)"),
    (
        ("sig=", "signature=", "credential=", "token="),
        r"(?i:[?&](?:sig|(?:x-(?:amz|goog)-)?(?:signature|credential|security-token))=)",
    ),
    (("bearer",), r"(?i:(?<![\w])bearer[ \t]+(?=[^\s\"'`]{0,200}\d)(?=[^\s\"'`]{12}))"),
    (("basic",), r"(?i:(?<![\w])basic[ \t]+)(?=(?:[A-Za-z0-9+/]{4}){3,}[A-Za-z0-9+/]{0,3}={0,2}(?![\w+/=]))"),
    (
        ("login",),
        r"(?i:(?<![\w])(?:wandb|docker|npm)[ \t]+login(?:[ \t]+-[\w-]+(?:[= ]\S+)?)*?[ \t]+)(?=[0-9a-f]{40})",
    ),
    (("login",), r"(?<![\w])(?:docker|podman)[ \t]+login[^\n]{0,200}?[ \t]-p[ \t]*"),
    (("sshpass",), r"(?<![\w])sshpass[ \t]+-p[ \t]*"),
    (("-u ", "-u=", "--user"), r"(?<![\w])(?:-u|--user)[ =](?=[^\s\"':]+:[^\s\"'])"),
)
# Of which one stands in each key that a list of _secret_keys makes secret, in lower case.
KEY_HINTS = (
    *("pass", "pwd", "pw", "secret", "token", "key", "cred", "auth", "cookie", "bearer", "jwt", "conn", "webhook"),
    "phrase",
)

_SHAPE_HINTS = tuple(dict.fromkeys(hint for hints, _ in SHAPES for hint in hints))
_AFTER_HINTS = tuple(dict.fromkeys(hint for hints, _ in AFTER for hint in hints))

# What a text needs.
SHAPE, BEHIND, ADDRESS, KEYED, PEM = 1, 2, 4, 8, 16


def needs(text: str) -> int:
    """Which rules a text needs; 0 if it holds nothing that any of them masks."""
    found = 0
    for hint in _SHAPE_HINTS:
        if hint in text:
            found = SHAPE
            break
    if "://" in text:
        found |= ADDRESS
    if "PRIVATE KEY" in text:
        found |= PEM
    lowered = text.lower()
    for hint in KEY_HINTS:
        if hint in lowered:
            found |= KEYED
            break
    for hint in _AFTER_HINTS:
        if hint in lowered:
            return found | BEHIND
    return found


SHAPES_PATTERN = lazily(rf"(?<![A-Za-z0-9])(?:{'|'.join(pattern for _, pattern in SHAPES)})")
AFTER_PATTERN = lazily(rf"(?P<head>{'|'.join(pattern for _, pattern in AFTER)})(?P<value>[^\s\"'`<>&\\]+)")
KEY_HINT_PATTERN = lazily(rf"(?i:{'|'.join(KEY_HINTS)})")
