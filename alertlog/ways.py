"""The servers of one handler: the first, and those that stand in for it, each with variables of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from alertlog.errors import ConfigError
from alertlog.place import variable
from alertlog.settings import NO_DEFAULTS, SmtpDefaults, SmtpSettings, read_smtp
from alertlog.variables import REQUIRED


def read_ways(
    environ: Mapping[str, str], prefixes: Sequence[str], defaults: SmtpDefaults = NO_DEFAULTS
) -> SmtpSettings:
    """Read the settings of each server, in order; sender and recipients of the later ones default to the first's.

    One whose settings are wrong is left out, its problems told by those of the others: a typing error in what stands by
    must not stop what works, nor the other way round.

    Returns:
        The first that is right, with the others as its `backups`.

    Raises:
        ConfigError: none is right; with every problem of all of them.
    """
    problems: dict[str, str] = {}
    ways: list[SmtpSettings] = []
    for number, prefix in enumerate(prefixes):
        given = defaults if number == 0 else _from_first(environ, prefixes[0], defaults)
        try:
            ways.append(replace(read_smtp(environ, prefix, given), way=number))
        except ConfigError as error:
            problems |= error.problems if number == 0 else _own(error.problems, prefix, problems, prefixes[0])
    if ways:
        return replace(ways[0], backups=tuple(ways[1:]), problems=problems)
    raise ConfigError(problems, missing=all(problem == REQUIRED for problem in problems.values()))


def _from_first(environ: Mapping[str, str], prefix: str, defaults: SmtpDefaults) -> SmtpDefaults:
    sender, recipients = _text(environ, f"{prefix}FROM"), _text(environ, f"{prefix}TO")
    return SmtpDefaults(
        sender=sender or defaults.sender,
        recipients=(recipients,) if recipients else defaults.recipients,
    )


def _text(environ: Mapping[str, str], name: str) -> str:
    try:
        return variable(name, environ).strip()
    except ConfigError:  # it is told of the first server
        return ""


def _own(problems: Mapping[str, str], prefix: str, told: Mapping[str, str], first: str) -> dict[str, str]:
    """Return the problems of a server without those that it has from the first one."""
    inherited = {"fromaddr", "toaddrs"}
    inherited |= {f"{prefix}{suffix}" for suffix in ("FROM", "TO") if f"{first}{suffix}" in told}
    return {
        name: problem
        for name, problem in problems.items()
        if name not in inherited or (name.startswith(prefix) and problem != REQUIRED)
    }
