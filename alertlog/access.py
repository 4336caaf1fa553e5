"""The settings of a login: how their texts are read, and which of them go together.

XOAUTH2 takes a token in the place of a password (https://developers.google.com/workspace/gmail/imap/xoauth2-protocol).
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from alertlog.hosts import is_loopback
from alertlog.mailbox import UNPRINTABLE

Auth = Literal["auto", "plain", "login", "cram-md5", "xoauth2"]
"""How to log in; `auto` is by a password, in the way that the server offers and that shows it least."""
AUTHS: tuple[Auth, ...] = ("auto", "plain", "login", "cram-md5", "xoauth2")

TOKEN_LIMIT = 16_384
"""Characters of a token; real ones have up to some 4,000."""
_TOKEN = re.compile(rf"[!-~]{{1,{TOKEN_LIMIT}}}")

_OAUTH = ("OAUTH_TOKEN_URL", "OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_SCOPE", "OAUTH_REFRESH_TOKEN")
_SUFFIXES = ("USERNAME", "PASSWORD", "TOKEN", "TOKEN_COMMAND", *_OAUTH)


@dataclass(frozen=True, slots=True)
class FixedToken:
    """A token that somebody else keeps fresh, in the variable or in its file."""

    token: str = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.token,)

    def texts(self) -> dict[str, str]:
        return {"TOKEN": self.token}


@dataclass(frozen=True, slots=True)
class TokenCommand:
    """A program that prints a token: its name and its arguments. No shell is between."""

    words: tuple[str, ...]

    @property
    def secrets(self) -> tuple[str, ...]:
        return ()

    def texts(self) -> dict[str, str]:
        program, *arguments = self.words
        return {"TOKEN_COMMAND": shlex.join([program]) + (" ..." if arguments else "")}  # one may be a secret


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """A client of an OAuth 2 token server (RFC 6749): by its credentials, or by a refresh token.

    Attributes:
        url: the token endpoint, https except on this machine.
        scope: what the token is to be good for, words with a space between them, or "".
        refresh_token: "" for the grant by client credentials.
        ca_file: a private CA that may vouch for the token server, in addition to the system's.
    """

    url: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    scope: str = ""
    refresh_token: str = field(default="", repr=False)
    ca_file: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.client_secret, self.refresh_token)

    def texts(self) -> dict[str, str]:
        values = (self.url, self.client_id, self.client_secret, self.scope, self.refresh_token)
        return dict(zip(_OAUTH, values, strict=True))


TokenSource = FixedToken | TokenCommand | OAuthClient
"""Each tells its `secrets`, and its `texts`: what the variables say, by suffix."""


# How the variables are read; what is wrong is a ValueError without the text.


def auth(text: str) -> Auth:
    if text.lower() not in AUTHS:
        raise ValueError(f"has to be one of {', '.join(AUTHS)}")
    return cast(Auth, text.lower())


def username(text: str) -> str:
    if UNPRINTABLE.search(text):
        raise ValueError("holds a control character")
    return text


def secret(text: str) -> str:
    # NUL separates the parts of AUTH PLAIN (RFC 4616 section 2). A lone surrogate would fail late, in an
    # error that carries the password.
    if re.search(r"[\0\ud800-\udfff]", text):
        raise ValueError("is not UTF-8 text, or holds a NUL")
    return text


def token(text: str) -> str:
    """Return a token without white space around it, of which it can have none (RFC 6750 section 2.1)."""
    bare = text.strip()
    if not is_token(bare):
        raise ValueError("has a space in it or a character beyond ASCII, or is very long")
    return bare


def is_token(text: str) -> bool:
    """Whether this can be a token; anything else could end the line on which it is sent."""
    return _TOKEN.fullmatch(text) is not None


def command(text: str) -> tuple[str, ...]:
    """Return a program's name and arguments, split as a shell would, but run by none."""
    try:
        words = tuple(shlex.split(text))
    except ValueError:
        raise ValueError("has a quotation mark without its second one, or ends in a backslash") from None
    if not words or "\0" in text or shutil.which(words[0]) is None:
        raise ValueError("names no program that can be run")
    return words


def token_url(text: str) -> str:
    """Return a URL to which a client's secret may go: nobody listens on the way."""
    no_url = "is no URL, such as https://login.example.org/token"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # which repeats a piece of it: of https://client:secret/ the secret
        raise ValueError(no_url) from None
    if not parts.hostname or port == 0 or re.search(r"[^!-~]", text):
        raise ValueError(no_url)
    if parts.username is not None or parts.fragment:
        raise ValueError("holds a login or a fragment, which have no place here")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("has to begin with https://; http:// is for this machine only")
    return text


def visible(text: str) -> str:
    if re.search(r"[^ -~]", text):
        raise ValueError("holds a character beyond printable ASCII")
    return text


# What goes together


def login_problems(values: Mapping[str, Any], prefix: str, wrong: Mapping[str, str]) -> dict[str, str]:
    """Return by variable what is missing or too much of a login, of what is not wrong by itself."""
    if f"{prefix}AUTH" in wrong:
        return {}
    said = {suffix for suffix in _SUFFIXES if values[suffix] or f"{prefix}{suffix}" in wrong}
    kind = values["AUTH"]
    found = dict(_of_token(said, prefix) if kind == "xoauth2" else _of_password(said, kind, prefix))
    return {name: problem for name, problem in found.items() if name not in wrong} or _exposed(values, prefix)


def _of_password(said: set[str], kind: Auth, prefix: str) -> Iterator[tuple[str, str]]:
    for suffix in _SUFFIXES[2:]:
        if suffix in said:
            yield f"{prefix}{suffix}", f"is set, and {prefix}AUTH is not xoauth2"
    pair = {"USERNAME", "PASSWORD"}
    absent = sorted(pair - said)
    if len(absent) == 1:
        (there,) = pair & said
        yield f"{prefix}{absent[0]}", f"is not set, and {prefix}{there} is: they go together"
    elif absent and kind != "auto":
        for suffix in absent:
            yield f"{prefix}{suffix}", f"is not set, and {prefix}AUTH is {kind}"


def _of_token(said: set[str], prefix: str) -> Iterator[tuple[str, str]]:
    if "USERNAME" not in said:
        yield f"{prefix}USERNAME", f"is not set, and {prefix}AUTH is xoauth2: whose token is it?"
    if "PASSWORD" in said:
        yield f"{prefix}PASSWORD", f"is set, and {prefix}AUTH is xoauth2, which takes a token instead"
    oauth = [suffix for suffix in _OAUTH if suffix in said]
    sources = [*(suffix for suffix in _SUFFIXES[2:4] if suffix in said), *oauth[:1]]
    if not sources:
        others = f"{prefix}TOKEN_COMMAND and {prefix}OAUTH_TOKEN_URL"
        yield f"{prefix}TOKEN", f"is not set, nor are {others}: {prefix}AUTH is xoauth2, which takes one of them"
    for suffix in sources[1:]:
        yield f"{prefix}{suffix}", f"is set, and {prefix}{sources[0]} is set too: one of them has to go"
    if oauth and len(sources) == 1:
        yield from _of_client(said, f"{prefix}{oauth[0]}", prefix)


def _of_client(said: set[str], there: str, prefix: str) -> Iterator[tuple[str, str]]:
    for suffix in ("OAUTH_TOKEN_URL", "OAUTH_CLIENT_ID"):
        if suffix not in said:
            yield f"{prefix}{suffix}", f"is not set, and {there} is: they go together"
    if not said & {"OAUTH_CLIENT_SECRET", "OAUTH_REFRESH_TOKEN"}:
        yield (
            f"{prefix}OAUTH_CLIENT_SECRET",
            f"is not set, nor is {prefix}OAUTH_REFRESH_TOKEN, and one of them is needed",
        )
    if find_spec("oauthlib") is None:
        yield f"{prefix}OAUTH_TOKEN_URL", "needs the extra: pip install 'alertlog[oauth]'"


def _exposed(values: Mapping[str, Any], prefix: str) -> dict[str, str]:
    exposed = values["TRANSPORT"] == "none" and values["USERNAME"] and values["HOST"]
    if not exposed or values["INSECURE_LOGIN"] or is_loopback(values["HOST"]):
        return {}
    what = "a token" if values["AUTH"] == "xoauth2" else f"{prefix}PASSWORD"
    return {
        f"{prefix}TRANSPORT": f"is none, which would show {what} to the network;"
        f" use starttls or ssl, or set {prefix}INSECURE_LOGIN=allow"
    }


def token_source(values: Mapping[str, Any]) -> TokenSource | None:
    """Return where the token comes from, of values without problems; None if a password logs in, or nothing."""
    if values["TOKEN"]:
        return FixedToken(values["TOKEN"])
    if values["TOKEN_COMMAND"]:
        return TokenCommand(values["TOKEN_COMMAND"])
    if not values["OAUTH_TOKEN_URL"]:
        return None
    given = {suffix: values[suffix] or "" for suffix in (*_OAUTH, "CA_FILE")}
    return OAuthClient(
        given["OAUTH_TOKEN_URL"],
        given["OAUTH_CLIENT_ID"],
        given["OAUTH_CLIENT_SECRET"],
        given["OAUTH_SCOPE"],
        given["OAUTH_REFRESH_TOKEN"],
        given["CA_FILE"],
    )
