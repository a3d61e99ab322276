"""What is a secret: names that say so, and values that have the shape of a credential.

Neither the value nor a part of it is ever told: a report goes into logs.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

_SPLIT: Final = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")
_WORDS: Final = frozenset(
    {"password", "passwd", "passphrase", "secret", "token", "apikey", "credential", "credentials", "passcode"}
)
#: Before `key`; alone it is as often a public one.
_KEYS: Final = frozenset({"access", "api", "auth", "encryption", "private", "secret", "signing", "ssh", "master"})
#: A name that ends with one of these tells of a secret and is none: where it is, how long it lives.
_ABOUT: Final = frozenset(
    {
        *("file", "path", "dir", "location", "name", "id", "url", "uri", "endpoint", "host", "port", "mount", "store"),
        *("ttl", "expiry", "expires", "expiration", "lifetime", "timeout", "seconds", "minutes", "hours", "days"),
        *("length", "len", "size", "count", "max", "min", "limit", "limits", "type", "header", "field", "format"),
        *("algorithm", "alg", "policy", "enabled", "disabled", "required", "rotation", "issuer", "audience"),
        *("version", "prefix", "suffix", "provider", "backend", "command", "cmd", "env", "var", "fingerprint"),
        *("server", "service", "mode", "scheme", "scope", "scopes", "class", "handler", "method", "realm", "domain"),
        *("role", "dummy", "placeholder", "template", "manager", "engine", "table", "column"),
    }
)
_SWITCHES: Final = frozenset({"allow", "disable", "enable", "has", "max", "min", "no", "num", "require", "use"})
_EMPTY_WORDS: Final = frozenset({"", "true", "false", "yes", "no", "on", "off", "0", "1", "none", "null"})

#: What each shape is called, and the shape. Lengths are bounded, so that no text takes long.
_SHAPES: Final = (
    ("an AWS access key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a GitHub token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255})\b")),
    ("a GitLab token", re.compile(r"\bglpat-[A-Za-z0-9_-]{20,255}")),
    ("a Slack token", re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,255}")),
    ("a Google API key", re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b")),
    ("a Stripe key", re.compile(r"\b[rs]k_live_[0-9A-Za-z]{20,255}\b")),
    ("a PyPI token", re.compile(r"\bpypi-AgE[A-Za-z0-9_-]{50,255}")),
    ("an npm token", re.compile(r"\bnpm_[A-Za-z0-9]{36}\b")),
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z]{1,20} ){0,3}PRIVATE KEY-----")),
    ("a signed token (JWT)", re.compile(r"\beyJ[\w-]{10,2000}\.eyJ[\w-]{10,2000}\.[\w-]{10,2000}")),
    ("an address with a password", re.compile(r"\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@$]{0,100}:[^\s/@${}<>]{1,100}@")),
)

_SECRET_FILES: Final = re.compile(
    r"""(?:^|/)(?:
        \.env(?:\.(?:local|prod|production|staging|development|dev))?
      | id_(?:rsa|dsa|ecdsa|ed25519)
      | \.npmrc | \.pypirc | \.netrc | \.pgpass | \.git-credentials | \.htpasswd
      | \.ssh | \.aws | \.kube | kubeconfig
      | \.docker/config\.json | credentials(?:\.json)? | service[-_]account[\w-]*\.json
      | [\w.-]*(?:key|priv)[\w.-]*\.pem | [\w.-]+\.(?:p12|pfx|jks|keystore)
      # Others, `nginx.key`, are as often what packages are signed with, which everybody may have.
      | (?:[\w.-]*[._-])?(?:server|client|tls|ssl|https|priv|private|ca|root|host|localhost|domain|site|wildcard)
        (?:[._-][\w.-]*)?\.key
    )/?$""",
    re.X | re.I,
)
#: Keys that everybody may have.
_PUBLIC_FILES: Final = re.compile(
    r"(?:^|[/._-])(?:public|pub|pubkey|signing|archive|apt|repo|release|gpg|keyring|trusted|truststore|cacerts)(?:$|[/._-])",
    re.I,
)


def named_secret(name: str) -> bool:
    """True where a variable's name says that its value is a secret."""
    words = [word.lower() for word in _SPLIT.split(name) if word]
    if not words or words[-1] in _ABOUT or words[0] in _SWITCHES:
        return False
    if _WORDS.intersection(words) or ("pwd" in words and len(words) > 1):
        return True
    return any(before in _KEYS and after == "key" for before, after in pairwise(words))


def is_literal(value: str) -> bool:
    """True where a value is itself what its name says, and not a path to it, a switch, or empty."""
    return value.lower() not in _EMPTY_WORDS and not value.startswith(("/", "./", "file:", "$"))


def shape_in(text: str) -> str | None:
    """Return what kind of credential is in a text, or None."""
    return next((what for what, shape in _SHAPES if shape.search(text)), None)


def is_secret_file(path: str) -> bool:
    """True where a file of this name holds a secret, as a rule."""
    return _SECRET_FILES.search(path) is not None and _PUBLIC_FILES.search(path.rpartition("/")[2]) is None
