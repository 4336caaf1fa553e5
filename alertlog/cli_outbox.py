"""The commands that look into an outbox, send what waits there, and clear it."""

from __future__ import annotations

import json
import sys

import click

from alertlog.console import EXIT_CODES, FAILED, config_option, desks, exiting, fail, json_option


@click.group()
def outbox() -> None:
    """Look into the outbox, send what waits, clear it."""


@outbox.command("list")
@config_option
@json_option
def list_(config: str | None, as_json: bool) -> None:
    """List letters that wait or are set aside, open incidents, mutes, and what is in journals to be read."""
    from alertlog.listing import entries

    with exiting():
        for desk in desks(config):
            for entry in entries(desk):
                click.echo(json.dumps(entry.to_dict()) if as_json else entry.line())


@outbox.command()
@click.argument("letter", metavar="ID", type=int)
@config_option
def show(letter: int, config: str | None) -> None:
    """Print the letter with that ID, as `outbox list` numbers them, as a mail."""
    from alertlog.listing import content

    for desk in desks(config):
        with exiting():
            shown = content(desk, letter)
        if shown is not None:
            click.echo(shown.content, nl=False)
            if shown.unknown:
                click.echo(f"alertlog: who writes to whom is not known: {shown.unknown}", err=True)
            return
    click.echo(f"no letter {letter} in the outbox", err=True)
    sys.exit(FAILED)


@outbox.command()
@config_option
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to go on for.")
@click.option("--due", is_flag=True, help="Only what is due by now: for cron, which must not hammer a server.")
def flush(config: str | None, timeout: float, due: bool) -> None:
    """Send what waits now, whatever its time."""
    from alertlog import flushing

    send = flushing.flush_due if due else flushing.flush
    found = desks(config)
    with exiting():
        flushed = [one for desk in found for one in send(desk, timeout)]
        others = sorted({owner.service for desk in found for owner in desk.others()})
    for one in flushed:
        owner = f"{one.owner.service} ({one.owner.handler}): " if len(flushed) > 1 else ""
        click.echo(f"{owner}{one.message}", err=True)
    if not flushed:
        left = f"; of another service and left alone: {', '.join(others)}" if others else ""
        places = ", ".join(sorted({str(desk.place) for desk in found}))
        click.echo(f"nothing waits in {places}{left}", err=True)
    sys.exit(max((EXIT_CODES[one.category] for one in flushed), default=0))


@outbox.command()
@click.argument("letters", metavar="[ID]...", type=int, nargs=-1)
@click.option("--aside", is_flag=True, help="All letters that were set aside.")
@click.option("--all", "everything", is_flag=True, help="All letters, also those that wait, and all incidents.")
@config_option
def purge(letters: tuple[int, ...], aside: bool, everything: bool, config: str | None) -> None:
    """Remove letters for good: those with the IDs, or those set aside, or all. The alerts lost are counted."""
    from alertlog import clearing
    from alertlog.listing import number

    if not (letters or aside or everything):
        raise click.UsageError("say which: some IDs, --aside or --all")
    found, removed = desks(config), clearing.Removed()
    with exiting():
        there = set[int]().union(*(desk.numbers(desk.registered()) for desk in found))
        if missing := sorted({*letters} - there):
            fail(f"{_numbered(missing)} in the outbox; nothing was removed", FAILED)
        for desk in found:
            removed += clearing.purge(desk, letters)
            removed += clearing.purge_aside(desk) if aside else clearing.Removed()
            removed += clearing.purge_all(desk) if everything else clearing.Removed()
    click.echo(
        f"{number(removed.letters, 'letter')} removed, and {number(removed.alerts, 'alert')} that nobody was told of",
        err=True,
    )


def _numbered(missing: list[int]) -> str:
    return f"no letter {', '.join(map(str, missing))}"
