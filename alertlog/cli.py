"""The operator's commands. Data goes to stdout, messages to stderr; the exit code says what became of it.

0 done · 1 failed for good · 2 usage · 75 temporary, try again · 78 configuration, to be repaired (as in sysexits.h).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from alertlog import deployment
from alertlog.errors import ConfigError, OutboxError
from alertlog.handler import AlertHandler

if TYPE_CHECKING:
    from alertlog.desk import Desk

FAILED, TEMPORARY, CONFIGURATION = 1, 75, 78
EXIT_CODES = {None: 0, "permanent": FAILED, "temporary": TEMPORARY, "refused": CONFIGURATION}
"""By the category of the failure."""

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
"""By the unit of a duration."""
LONGEST_MUTE = 7 * SECONDS["d"]
"""Seconds; alerts are kept for as long."""

Command = Callable[..., Any]


def _config_option(command: Command) -> Command:
    return click.option(
        "--config",
        metavar="FILE|MODULE:ATTRIBUTE",
        help="The deployment's logging configuration: a YAML or JSON file, or a dict in a module."
        " By default logging.yaml in the current folder, else the environment alone.",
    )(command)


def _duration(_context: click.Context, _option: click.Parameter, text: str) -> float:
    """Return the seconds of a time such as `90s`, `30m`, `2h` or `1d`."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    seconds = int(found[1]) * SECONDS[found[2]] if found else 0
    if not 0 < seconds <= LONGEST_MUTE:
        raise click.BadParameter("has to be a time such as 90s, 30m, 2h or 1d; 7d at most: alerts are kept a week")
    return seconds


def _json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="alertlog")
def main() -> None:
    """Log records that become mail: try it, test a deployment, look into its outbox.

    Exit codes: 0 done, 1 failed for good, 2 usage, 75 temporary (try again), 78 configuration (repair it first).
    """


@main.command()
@click.option(
    "--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep the mails there as .eml and .html."
)
def demo(keep: Path | None) -> None:
    """Run a sample portfolio ETL against a mail server of its own and show what arrives."""
    from alertlog.demo.show import run_demo

    try:
        sys.exit(run_demo(keep, sys.stdout))
    except OSError as error:
        _fail(str(error), FAILED)


@main.command()
@click.argument("kind", default="test")
@_config_option
@_json_option
def test(kind: str, config: str | None, as_json: bool) -> None:
    """Send one simulated alert of KIND, marked as a test, and say what the server answered.

    It uses the deployment's own configuration and environment, and waits for the outcome at most as long as one
    delivery attempt may take.
    """
    from alertlog.trial import send_test

    worst = 0
    for handler in _handlers(config):
        with _exiting():
            outcome = send_test(handler, kind)
        code = EXIT_CODES[outcome.category]
        if as_json:
            click.echo(json.dumps({"handler": handler.name, "exit_code": code, "message": outcome.message}))
        else:
            click.echo(outcome.message, err=code != 0)
        worst = max(worst, code)
    sys.exit(worst)


@main.command()
@click.argument("target", metavar="KIND|FINGERPRINT")
@click.option(
    "--for", "seconds", callback=_duration, required=True, metavar="TIME", help="90s, 30m, 2h or 1d; at most 7d."
)
@click.option("--reason", default="", metavar="TEXT", help="Why; the mail at the end says so.")
@_config_option
def mute(target: str, seconds: float, reason: str, config: str | None) -> None:
    """Mail nothing about a kind or a fingerprint for some time. Its alerts are counted, and told when that is over."""
    from alertlog.listing import moment

    if not target.strip():  # an unset variable of a script's would silence every alert without a kind
        raise click.BadParameter("is empty", param_hint="KIND|FINGERPRINT")
    for desk in _desks(config):
        with _exiting():
            muting = desk.mute(target, seconds, reason)
        owners = ", ".join(f"{owner.service} ({owner.handler})" for owner in muting.owners)
        click.echo(f"{target} is muted until {moment(muting.until)} for {owners}", err=True)


@main.command()
@click.argument("target", metavar="KIND|FINGERPRINT")
@_config_option
def unmute(target: str, config: str | None) -> None:
    """End a mute. What it held back is told now."""
    with _exiting():
        ended = [desk.unmute(target) for desk in _desks(config)]
    if not any(ended):
        _fail(f"{target} is not muted", FAILED)
    click.echo(f"{target} is not muted any more", err=True)


@main.group()
def outbox() -> None:
    """Look into the outbox, send what waits, clear it."""


@outbox.command("list")
@_config_option
@_json_option
def list_(config: str | None, as_json: bool) -> None:
    """List letters that wait or are set aside, open incidents, mutes, and what is in journals to be read."""
    from alertlog.listing import entries

    with _exiting():
        for desk in _desks(config):
            for entry in entries(desk):
                click.echo(json.dumps(entry.to_dict()) if as_json else entry.line())


@outbox.command()
@click.argument("letter", metavar="ID", type=int)
@_config_option
def show(letter: int, config: str | None) -> None:
    """Print the letter with that ID, as `outbox list` numbers them, as a mail."""
    from alertlog.listing import content

    for desk in _desks(config):
        with _exiting():
            shown = content(desk, letter)
        if shown is not None:
            click.echo(shown.content, nl=False)
            if shown.unknown:
                click.echo(f"alertlog: who writes to whom is not known: {shown.unknown}", err=True)
            return
    click.echo(f"no letter {letter} in the outbox", err=True)
    sys.exit(FAILED)


@outbox.command()
@_config_option
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to go on for.")
@click.option("--due", is_flag=True, help="Only what is due by now: for cron, which must not hammer a server.")
def flush(config: str | None, timeout: float, due: bool) -> None:
    """Send what waits now, whatever its time."""
    from alertlog import flushing

    send = flushing.flush_due if due else flushing.flush
    desks = _desks(config)
    with _exiting():
        flushed = [one for desk in desks for one in send(desk, timeout)]
        others = sorted({owner.service for desk in desks for owner in desk.others()})
    for one in flushed:
        owner = f"{one.owner.service} ({one.owner.handler}): " if len(flushed) > 1 else ""
        click.echo(f"{owner}{one.message}", err=True)
    if not flushed:
        left = f"; of another service and left alone: {', '.join(others)}" if others else ""
        places = ", ".join(sorted({str(desk.place) for desk in desks}))
        click.echo(f"nothing waits in {places}{left}", err=True)
    sys.exit(max((EXIT_CODES[one.category] for one in flushed), default=0))


@outbox.command()
@click.argument("letters", metavar="[ID]...", type=int, nargs=-1)
@click.option("--aside", is_flag=True, help="All letters that were set aside.")
@click.option("--all", "everything", is_flag=True, help="All letters, also those that wait, and all incidents.")
@_config_option
def purge(letters: tuple[int, ...], aside: bool, everything: bool, config: str | None) -> None:
    """Remove letters for good: those with the IDs, or those set aside, or all. The alerts lost are counted."""
    from alertlog.desk import Removed
    from alertlog.listing import number

    if not (letters or aside or everything):
        raise click.UsageError("say which: some IDs, --aside or --all")
    removed = Removed()
    for desk in _desks(config):
        with _exiting():
            removed += desk.purge(letters)
            removed += desk.purge_aside() if aside else Removed()
            removed += desk.purge_all() if everything else Removed()
    click.echo(
        f"{number(removed.letters, 'letter')} removed, and {number(removed.alerts, 'alert')} that nobody was told of",
        err=True,
    )


def _handlers(config: str | None) -> list[AlertHandler]:
    with _exiting():
        return deployment.handlers(config, Path())


def _desks(config: str | None) -> list[Desk]:
    from alertlog.desk import desks

    with _exiting():
        return desks(_handlers(config))


@contextmanager
def _exiting() -> Iterator[None]:
    """End the command where something is wrong, by the exit code that says whose turn it is."""
    try:
        yield
    except ConfigError as error:
        _fail(str(error), CONFIGURATION)
    except OutboxError as error:
        _fail(str(error), FAILED if error.corrupt else TEMPORARY)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"alertlog: {message}", err=True)
    sys.exit(code)
