"""The first steps of a check: which configuration was read, and whether its settings are whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alertlog.access import OAuthClient, TokenCommand, TokenSource
from alertlog.advice import Advice, Seen, advise
from alertlog.deployment import DEFAULT
from alertlog.errors import ConfigError
from alertlog.mistakes_settings import OF_THE_CONFIGURATION, OF_THE_SETTINGS
from alertlog.place import outbox_path, variable
from alertlog.settings import SmtpSettings, describe
from alertlog.steps import Step, Stopwatch

if TYPE_CHECKING:
    from alertlog.handler import AlertHandler

_ADDRESSES = ("FROM", "TO")
_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""With which some editors begin a file in UTF-8: nobody sees it, and no server takes it for part of a password."""


def configuration_step(source: str | None, folder: Path, handlers: Sequence[AlertHandler], watch: Stopwatch) -> Step:
    """Say which configuration counts. That there is none is no failure, but hardly ever meant."""
    names = [handler.name or "" for handler in handlers]
    facts = {"source": source, "folder": str(folder.absolute()), "handlers": names}
    if source is None:
        words = {"default": DEFAULT, "folder": str(folder.absolute()), "outbox": _default_outbox()}
        advice = advise(Seen("configuration", marks=frozenset({"none"}), words=words), OF_THE_CONFIGURATION)
        text = "none: the environment alone"
        return Step("configuration", text, advice=advice, seconds=watch.lap(), facts=facts)
    kind = "handler" if len(names) == 1 else "handlers"
    return Step("configuration", f"{source}: {kind} {', '.join(names)}", seconds=watch.lap(), facts=facts)


def unreadable_configuration_step(error: ConfigError, watch: Stopwatch) -> Step:
    advice = advise(Seen("configuration", text=str(error)), OF_THE_CONFIGURATION)
    facts = {"problems": error.problems}
    return Step("configuration", str(error), error.category, advice, watch.lap(), facts)


def settings_steps(
    handler: AlertHandler, environ: Mapping[str, str], watch: Stopwatch
) -> tuple[list[Step], tuple[SmtpSettings, ...]]:
    """Say what is in force for each server, secrets masked, and all that is wrong; return those that can be tried."""
    arguments = handler.works.arguments
    prefixes = (arguments.env_prefix, *arguments.backups)
    try:
        settings = handler.works.post().read_settings()
    except ConfigError as error:
        return [_wrong(error.problems, prefixes, environ, watch)], ()
    steps = [_whole(way, watch) for way in settings.ways]
    if settings.problems:
        steps.append(_wrong(settings.problems, prefixes, environ, watch))
    return steps, settings.ways


def _whole(settings: SmtpSettings, watch: Stopwatch) -> Step:
    described = describe(settings, settings.prefix)
    return Step(
        "settings",
        _in_a_line(settings, described[f"{settings.prefix}PASSWORD"]),
        advice=tuple(_warnings(settings, settings.prefix)),
        seconds=watch.lap(),
        facts={"variables": described},
    )


def _wrong(problems: Mapping[str, str], prefixes: Sequence[str], environ: Mapping[str, str], watch: Stopwatch) -> Step:
    text = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
    advice = tuple(_of_problems(problems, prefixes, environ))
    return Step("settings", text, "refused", advice, watch.lap(), {"problems": dict(problems)})


def password_marks(settings: SmtpSettings) -> frozenset[str]:
    """Return what is odd about the password: `padded` by white space, `quoted`, with a `byte order mark`."""
    password = settings.password
    bare = password.removeprefix(_BOM)
    marks = {
        "byte order mark": password != bare,
        "padded": bare != bare.strip(),
        "quoted": _is_quoted(bare.strip()),
    }
    return frozenset(mark for mark, there in marks.items() if there)


def token_of(source: TokenSource) -> str:
    """Return where a token comes from, in words."""
    if isinstance(source, OAuthClient):
        return f"a token from {source.url}"
    return "a token from a command" if isinstance(source, TokenCommand) else "a token"


def _of_problems(problems: Mapping[str, str], prefixes: Sequence[str], environ: Mapping[str, str]) -> Iterator[Advice]:
    for name, problem in problems.items():
        prefix = max(filter(name.startswith, prefixes), key=len, default=prefixes[0])
        words = {"variable": name, "p": prefix, "user": str(os.geteuid()), "problem": problem}
        marks = frozenset(_marks_of(name.removeprefix(prefix), _value(name, environ)))
        yield from advise(Seen("settings", problem, marks=marks, words=words), OF_THE_SETTINGS)


def _marks_of(suffix: str, value: str) -> Iterator[str]:
    yield suffix
    if not value:
        yield "empty"
    if _is_quoted(value.strip()):
        yield "quoted"
    if suffix in _ADDRESSES:
        yield "address"
        if ";" in value:
            yield "semicolon"


def _value(name: str, environ: Mapping[str, str]) -> str:
    try:
        return variable(name, environ)
    except ConfigError:
        return ""


def _warnings(settings: SmtpSettings, prefix: str) -> Iterator[Advice]:
    words = {"p": prefix, "port": str(settings.port), "transport": settings.transport}
    yield from advise(Seen("password", marks=password_marks(settings), words=words), OF_THE_SETTINGS)
    marks = {str(settings.port), "ssl" if settings.transport == "ssl" else "not ssl"}
    yield from advise(Seen("port", marks=frozenset(marks), words=words), OF_THE_SETTINGS)


def _in_a_line(settings: SmtpSettings, password: str) -> str:
    login = f"login as {settings.username}" if settings.username else "no login"
    login += f", password {password}" if password else ""
    login += f", by {token_of(settings.token_source)}" if settings.token_source else ""
    recipients = ", ".join(recipient.address for recipient in settings.recipients)
    authorities = f", CAs of {settings.ca_file} too" if settings.ca_file else ""
    return (
        f"{settings.host}:{settings.port} by {settings.transport}{authorities}, {login},"
        f" from {settings.sender.address} to {recipients}, {settings.timeout:g} s for an attempt"
    )


def _default_outbox() -> str:
    try:
        return str(outbox_path(None, os.environ))
    except ConfigError as error:
        return f"which has no place: {error}"


def _is_quoted(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
