"""The commands that send what waits in an outbox, try it again, or remove it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from alertlog import completing
from alertlog.console import (
    EXIT_CODES,
    FAILED,
    KEPT,
    NOT_SENT,
    REPAIR,
    UNUSABLE,
    Command,
    config_option,
    desks,
    exiting,
    fail,
    outbox_option,
    refuse_ambiguous,
)
from alertlog.manual import Page

if TYPE_CHECKING:
    from alertlog.desk import Desk
    from alertlog.flushing import Flushed
    from alertlog.progress import Observer


REFUSED = "the server refused a letter for good, and it is set aside; or the outbox is damaged"


def _sending_options(command: Command) -> Command:
    """Add those of the commands that send."""
    timeout = click.option(
        "--timeout",
        type=click.FloatRange(0),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to go on for.",
    )
    progress = click.option(
        "--progress/--no-progress",
        default=None,
        help="Say what is sent in words, rather than as events in JSON. By default where standard error is a terminal.",
    )
    return timeout(progress(command))


@click.command(
    cls=Page,
    exits={0: "nothing waits any more that has to be sent now", 1: REFUSED, 75: KEPT, 78: NOT_SENT},
    examples=("alertlog outbox flush", "alertlog outbox flush --due  # from cron, each minute"),
)
@config_option
@outbox_option
@_sending_options
@click.option("--due", is_flag=True, help="Only what is due by now: for cron, which must not hammer a server.")
def flush(config: str | None, only: str | None, timeout: float, progress: bool | None, due: bool) -> None:
    """Send what waits now, whatever its time, and say what still does, and why.

    Repeats are told too, if no process is there to tell them in their turn. Mutes and the ration of mails hold. Where a
    running process owns the outbox, that one sends, and this command waits for it.
    """
    from alertlog import flushing

    send = flushing.flush_due if due else flushing.flush
    found = desks(config, only)
    with exiting():
        flushed = [one for desk in found for one in send(desk, timeout, _observer(progress))]
        others = sorted({owner.service for desk in found for owner in desk.others()})
    if not flushed:
        left = f"; of another service and left alone: {', '.join(others)}" if others else ""
        click.echo(f"nothing waits in {_places(found)}{left}", err=True)
    _end(flushed)


@click.command(
    cls=Page,
    exits={
        0: "sent, or nothing was there to retry with --all",
        1: "refused for good again; or no letter or incident has that name, and nothing was done",
        75: KEPT,
        78: NOT_SENT,
    },
    examples=(
        "alertlog outbox retry 12",
        "alertlog outbox retry 3f2a9c5517d0be84",
        "alertlog outbox retry --all --timeout 300",
    ),
)
@click.argument("targets", metavar="[ID|FINGERPRINT]...", nargs=-1, shell_complete=completing.retries)
@click.option("--all", "everything", is_flag=True, help="All letters, and all incidents with something to tell.")
@config_option
@outbox_option
@_sending_options
def retry(
    targets: tuple[str, ...],
    everything: bool,
    config: str | None,
    only: str | None,
    timeout: float,
    progress: bool | None,
) -> None:
    """Try letters and incidents again now: also letters that were refused for good and set aside.

    ID is a letter's number in `alertlog outbox list`; an incident that waits, for instance to tell its repeats, is
    named by its fingerprint. A letter goes as it is, with the same Message-ID. Mutes and the ration of mails hold.
    """
    from alertlog import retrying

    if bool(targets) == everything:
        raise click.UsageError("say which: some IDs or fingerprints, or --all")
    found, observer = desks(config, only), _observer(progress)
    with exiting():
        if everything:
            retried = [one for desk in found for one in retrying.retry_all(desk, timeout, observer)]
        else:
            _refuse_unknown(targets, [name for desk in found for name in retrying.names(desk)], "nothing was tried")
            retried = [one for desk in found for one in retrying.retry(desk, targets, timeout, observer)]
    if not retried:
        click.echo(f"nothing to retry in {_places(found)}", err=True)
    _end(retried)


@click.command(
    cls=Page,
    exits={
        0: "removed",
        1: "no letter has one of the numbers, and nothing was removed; or the outbox is damaged",
        75: UNUSABLE,
        78: REPAIR,
    },
    examples=("alertlog outbox purge 12 13", "alertlog outbox purge --aside"),
)
@click.argument("letters", metavar="[ID]...", type=int, nargs=-1, shell_complete=completing.letters)
@click.option("--aside", is_flag=True, help="All letters that were set aside.")
@click.option("--all", "everything", is_flag=True, help="All letters, also those that wait, and all incidents.")
@config_option
@outbox_option
def purge(letters: tuple[int, ...], aside: bool, everything: bool, config: str | None, only: str | None) -> None:
    """Remove letters for good, and say how many alerts nobody was told of.

    ID is a letter's number in `alertlog outbox list`. `alertlog outbox export` keeps a copy.
    """
    from alertlog import clearing
    from alertlog.listing import number

    if not (letters or aside or everything):
        raise click.UsageError("say which: some IDs, --aside or --all")
    found, removed = desks(config, only), clearing.Removed()
    with exiting():
        there = [str(number) for desk in found for number in desk.numbers(desk.registered())]
        _refuse_unknown([str(letter) for letter in letters], there, "nothing was removed")
        for desk in found:
            removed += clearing.purge(desk, letters)
            removed += clearing.purge_aside(desk) if aside else clearing.Removed()
            removed += clearing.purge_all(desk) if everything else clearing.Removed()
    click.echo(
        f"{number(removed.letters, 'letter')} removed, and {number(removed.alerts, 'alert')} that nobody was told of",
        err=True,
    )


def _observer(progress: bool | None) -> Observer:
    from alertlog.progress import Silent, Talking

    wanted = sys.stderr.isatty() if progress is None else progress
    return Talking(_say) if wanted else Silent()


def _say(line: str) -> None:
    click.echo(line, err=True)


def _refuse_unknown(wanted: Sequence[str], there: Sequence[str], outcome: str) -> None:
    """Before anything is done: a number that was mistyped must not end in half of what was meant."""
    missing = [name for name in dict.fromkeys(wanted) if name not in there]
    if missing:
        fail(f"not in the outbox: {', '.join(missing)}; {outcome}", FAILED)
    refuse_ambiguous([name for name in there if name in wanted and name.isdigit()])


def _places(found: Iterable[Desk]) -> str:
    return ", ".join(sorted({str(desk.place) for desk in found}))


def _end(flushed: Iterable[Flushed]) -> None:
    """Say what it came to, for each owner, and end with the worst of it."""
    outcomes = list(flushed)
    for one in outcomes:
        owner = f"{one.owner.service} ({one.owner.handler}): " if len(outcomes) > 1 else ""
        click.echo(f"{owner}{one.message}", err=True)
    sys.exit(max((EXIT_CODES[one.category] for one in outcomes), default=0))
