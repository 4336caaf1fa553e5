"""What the commands have in common: their options, the configuration they read, and how they end.

Data goes to stdout, messages to stderr; the exit code says what became of it: 0 done · 1 failed for good · 2 usage ·
75 temporary, try again · 78 configuration, to be repaired (as in sysexits.h).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from alertlog import completing, deployment
from alertlog.errors import ConfigError, OutboxError
from alertlog.handler import AlertHandler

if TYPE_CHECKING:
    from alertlog.desk import Desk

FAILED, TEMPORARY, CONFIGURATION = 1, 75, 78
EXIT_CODES = {None: 0, "permanent": FAILED, "temporary": TEMPORARY, "refused": CONFIGURATION}
"""By the category of the failure."""

KEPT = "failed for now; it is kept and tried again"
UNUSABLE = "the outbox can't be used now: busy, full or out of reach"
NOT_SENT = "the server does not let alertlog in, or the configuration or the outbox is for you to repair"
REPAIR = "the configuration is wrong, or the outbox is of another format: for you to repair"
"""What exit codes mean, in the help of several commands."""

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
"""By the unit of a duration."""

Command = Callable[..., Any]
Duration = Callable[[click.Context, click.Parameter, str | None], float | None]


def config_option(command: Command) -> Command:
    return click.option(
        "--config",
        metavar="FILE|MODULE:ATTRIBUTE",
        shell_complete=completing.files,
        help="The deployment's logging configuration: a YAML or JSON file, or a dict in a module."
        " By default logging.yaml in the current folder, else the environment alone.",
    )(command)


def outbox_option(command: Command) -> Command:
    return click.option(
        "--outbox",
        "only",
        metavar="FILE",
        shell_complete=completing.files,
        help="Only this outbox, where the configuration uses several.",
    )(command)


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")(command)


def duration(days: int, why: str = "") -> Duration:
    """Return what reads the seconds of a time such as `90s`, `30m`, `2h` or `1d`, and None where none is given.

    Args:
        days: the longest time.
        why: the reason for that.
    """

    def read(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
        if text is None:
            return None
        found = re.fullmatch(r"([0-9]{1,7})([smhd])", text)
        seconds = int(found[1]) * SECONDS[found[2]] if found else 0
        if not 0 < seconds <= days * SECONDS["d"]:
            raise click.BadParameter(f"has to be a time such as 90s, 30m, 2h or 1d; {days}d at most{why}")
        return seconds

    return read


up_to_a_week = duration(7, ": alerts are kept a week")


def handlers(config: str | None) -> list[AlertHandler]:
    """Return the deployment's AlertHandlers; where there are none, end the command. Their own end sends nothing."""
    with exiting():
        found = deployment.handlers(config, Path())
    for handler in found:
        handler.stand_aloof()
    if _is_unconfigured(config):
        note(f"no {deployment.DEFAULT} in the current folder: this goes by the environment alone; see --config")
    return found


def desks(config: str | None, only: str | None = None) -> list[Desk]:
    """Return the outboxes that they use, or one of them by its file; where there is no place for one, end the command.

    Raises:
        BadParameter: they do not use that one.
    """
    from alertlog import desk

    with exiting():
        found = desk.desks(handlers(config))
    places = ", ".join(str(one.place) for one in found)
    if _is_unconfigured(config):
        note(f"its outbox is {places}")
    chosen = [one for one in found if only is None or one.place == Path(os.path.realpath(only))]
    if not chosen:
        raise click.BadParameter(f"the configuration uses {places}", param_hint="--outbox")
    return chosen


def _is_unconfigured(config: str | None) -> bool:
    """Whether somebody may be in the wrong folder, and act on the wrong outbox."""
    return config is None and not deployment.has_default(Path())


@contextmanager
def exiting() -> Iterator[None]:
    """End the command where something is wrong, by the exit code that says whose turn it is."""
    try:
        yield
    except ConfigError as error:
        fail(str(error), CONFIGURATION)
    except OutboxError as error:
        fail(str(error), FAILED if error.corrupt else EXIT_CODES[error.category])


def refuse_ambiguous(numbers: Sequence[str]) -> None:
    """Each outbox has its own numbers; a fingerprint means the same in all."""
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    if twice:
        fail(f"in several outboxes: {', '.join(twice)}; nothing was done: say which by --outbox", FAILED)


def note(message: str) -> None:
    """Say something that is no data of the command's."""
    click.echo(f"alertlog: {message}", err=True)


def fail(message: str, code: int) -> NoReturn:
    """End the command with one line and this exit code."""
    note(message)
    sys.exit(code)
