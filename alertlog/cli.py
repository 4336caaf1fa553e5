"""The operator's commands. Data goes to stdout, messages to stderr; the exit code says what became of it.

0 done · 1 failed for good · 2 usage · 75 temporary, try again · 78 configuration, to be repaired (as in sysexits.h).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from alertlog import deployment
from alertlog.errors import ConfigError, OutboxError
from alertlog.handler import AlertHandler

FAILED, TEMPORARY, CONFIGURATION = 1, 75, 78
EXIT_CODES = {None: 0, "permanent": FAILED, "temporary": TEMPORARY, "refused": CONFIGURATION}
"""By the category of the failure."""

Command = Callable[..., Any]


def _config_option(command: Command) -> Command:
    return click.option(
        "--config",
        metavar="FILE|MODULE:ATTRIBUTE",
        help="The deployment's logging configuration: a YAML or JSON file, or a dict in a module."
        " By default logging.yaml in the current folder, else the environment alone.",
    )(command)


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
        outcome = send_test(handler, kind)
        code = EXIT_CODES[outcome.category]
        if as_json:
            click.echo(json.dumps({"handler": handler.name, "exit_code": code, "message": outcome.message}))
        else:
            click.echo(outcome.message, err=code != 0)
        worst = max(worst, code)
    sys.exit(worst)


@main.group()
def outbox() -> None:
    """Look into the outbox, send what waits, clear it."""


@outbox.command("list")
@_config_option
@_json_option
def list_(config: str | None, as_json: bool) -> None:
    """List the letters that wait or are set aside, and the incidents that are open."""
    from alertlog import desk

    for place in _places(config):
        for entry in _reading(lambda place=place: desk.entries(place)):  # type: ignore[misc]
            click.echo(json.dumps(entry.to_dict()) if as_json else entry.line())


@outbox.command()
@click.argument("letter", metavar="ID", type=int)
@_config_option
def show(letter: int, config: str | None) -> None:
    """Print the letter with that ID, as `outbox list` numbers them, as a mail."""
    from alertlog import desk

    for handler in _handlers(config):
        content = _reading(lambda handler=handler: desk.content(handler, letter))  # type: ignore[misc]
        if content is not None:
            click.echo(content, nl=False)
            return
    click.echo(f"no letter {letter} in the outbox", err=True)
    sys.exit(FAILED)


@outbox.command()
@_config_option
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to go on for.")
@click.option("--due", is_flag=True, help="Only what is due by now: for cron, which must not hammer a server.")
def flush(config: str | None, timeout: float, due: bool) -> None:
    """Send what waits now, whatever its time."""
    from alertlog import desk

    worst = 0
    for handler in _handlers(config):
        if not due:
            _reading(lambda handler=handler: desk.hurry(handler))  # type: ignore[misc]
        flushed = _reading(lambda handler=handler: desk.flush(handler, timeout))  # type: ignore[misc]
        click.echo(flushed.message, err=True)
        worst = max(worst, EXIT_CODES[flushed.category])
    sys.exit(worst)


@outbox.command()
@click.argument("letters", metavar="[ID]...", type=int, nargs=-1)
@click.option("--aside", is_flag=True, help="All letters that were set aside.")
@click.option("--all", "everything", is_flag=True, help="All letters, also those that wait, and all incidents.")
@_config_option
def purge(letters: tuple[int, ...], aside: bool, everything: bool, config: str | None) -> None:
    """Remove letters for good: those with the IDs, or those set aside, or all. The alerts lost are counted."""
    from alertlog import desk

    if not (letters or aside or everything):
        raise click.UsageError("say which: some IDs, --aside or --all")
    for place in _places(config):
        removed = _reading(lambda place=place: desk.purge(place, letters, aside=aside, everything=everything))  # type: ignore[misc]
        click.echo(
            f"{removed.letters} letters removed, {removed.alerts} alerts with them that nobody was told of", err=True
        )


def _handlers(config: str | None) -> list[AlertHandler]:
    try:
        return deployment.handlers(config, Path.cwd())
    except (ConfigError, ValueError) as error:
        _fail(str(error), CONFIGURATION)


def _places(config: str | None) -> list[Path]:
    places = {handler.works.place: None for handler in _handlers(config)}
    return [place for place in places if place is not None]


def _reading(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except ConfigError as error:
        _fail(str(error), CONFIGURATION)
    except OutboxError as error:
        _fail(str(error), FAILED if error.corrupt else TEMPORARY)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"alertlog: {message}", err=True)
    sys.exit(code)
