"""The commands that look into an outbox, send what waits there, and clear it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from alertlog import completing
from alertlog.console import (
    EXIT_CODES,
    FAILED,
    KEPT,
    REPAIR,
    UNUSABLE,
    Command,
    config_option,
    desks,
    exiting,
    fail,
    json_option,
)
from alertlog.manual import Contents, Page

if TYPE_CHECKING:
    from alertlog.desk import Desk
    from alertlog.flushing import Flushed
    from alertlog.progress import Observer

NOT_SENT = "the server does not let alertlog in, or the configuration or the outbox is for you to repair"


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


@click.group(
    cls=Contents,
    exits={0: "done", 1: "failed for good", 75: KEPT, 78: NOT_SENT},
    examples=("alertlog outbox list", "alertlog outbox flush --help"),
)
def outbox() -> None:
    """Look into the outbox, send what waits, clear it.

    The outbox is the file in which alerts wait for their mail. Its letters have numbers, its incidents fingerprints;
    `alertlog outbox list` shows both.
    """


@outbox.command(
    "list",
    cls=Page,
    exits={0: "done, also where there is nothing", 1: "the outbox is damaged", 75: UNUSABLE, 78: REPAIR},
    examples=("alertlog outbox list", "alertlog outbox list --json --config deploy/logging.yaml"),
)
@config_option
@json_option
def list_(config: str | None, as_json: bool) -> None:
    """List what is in the outbox, and what each thing waits for.

    One line each, of all services: letters that wait or are set aside, with their numbers; the other open incidents;
    mutes; and what is in the journals of processes and not read yet. After the number and the state come service,
    handler, how many alerts nobody was told of, kind and summary; then what it waits for and until when, attempts with
    the last error, and the fingerprint.
    """
    from alertlog.listing import entries

    with exiting():
        for desk in desks(config):
            for entry in entries(desk):
                click.echo(json.dumps(entry.to_dict()) if as_json else entry.line())


@outbox.command(
    cls=Page,
    exits={0: "done", 1: "no letter has that number, or the outbox is damaged", 75: UNUSABLE, 78: REPAIR},
    examples=("alertlog outbox show 12", "alertlog outbox show 12 --eml > letter.eml"),
)
@click.argument("letter", metavar="ID", type=int, shell_complete=completing.letters)
@click.option("--eml", is_flag=True, help="The whole mail, as it goes to the server: for a mail program.")
@config_option
def show(letter: int, eml: bool, config: str | None) -> None:
    """Print a letter as the mail that would be sent today: headers and text.

    ID is its number in `alertlog outbox list`. Who writes to whom is the settings' business; where they are not
    complete here, a message says what is not known.
    """
    from alertlog.showing import content

    for desk in desks(config):
        with exiting():
            shown = content(desk, letter)
        if shown is not None:
            click.echo(shown.content if eml else shown.text, nl=False)
            if shown.unknown:
                click.echo(f"alertlog: who writes to whom is not known: {shown.unknown}", err=True)
            return
    click.echo(f"no letter {letter} in the outbox", err=True)
    sys.exit(FAILED)


@outbox.command(
    cls=Page,
    exits={0: "nothing waits any more that has to be sent now", 1: "the outbox is damaged", 75: KEPT, 78: NOT_SENT},
    examples=("alertlog outbox flush", "alertlog outbox flush --due  # from cron, each minute"),
)
@config_option
@_sending_options
@click.option("--due", is_flag=True, help="Only what is due by now: for cron, which must not hammer a server.")
def flush(config: str | None, timeout: float, progress: bool | None, due: bool) -> None:
    """Send what waits now, whatever its time, and say what still does, and why.

    Repeats are told too, if no process is there to tell them in their turn. Mutes and the ration of mails hold. Where a
    running process owns the outbox, that one sends, and this command waits for it.
    """
    from alertlog import flushing

    send = flushing.flush_due if due else flushing.flush
    found = desks(config)
    with exiting():
        flushed = [one for desk in found for one in send(desk, timeout, _observer(progress))]
        others = sorted({owner.service for desk in found for owner in desk.others()})
    if not flushed:
        left = f"; of another service and left alone: {', '.join(others)}" if others else ""
        click.echo(f"nothing waits in {_places(found)}{left}", err=True)
    _end(flushed)


@outbox.command(
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
@_sending_options
def retry(
    targets: tuple[str, ...], everything: bool, config: str | None, timeout: float, progress: bool | None
) -> None:
    """Try letters and incidents again now: also letters that were refused for good and set aside.

    ID is a letter's number in `alertlog outbox list`; an incident that waits, for instance to tell its repeats, is
    named by its fingerprint. A letter goes as it is, with the same Message-ID. Mutes and the ration of mails hold.
    """
    from alertlog import retrying

    if bool(targets) == everything:
        raise click.UsageError("say which: some IDs or fingerprints, or --all")
    found, observer = desks(config), _observer(progress)
    with exiting():
        if everything:
            retried = [one for desk in found for one in retrying.retry_all(desk, timeout, observer)]
        else:
            _refuse_unknown(targets, {name for desk in found for name in retrying.names(desk)}, "nothing was tried")
            retried = [one for desk in found for one in retrying.retry(desk, targets, timeout, observer)]
    if not retried:
        click.echo(f"nothing to retry in {_places(found)}", err=True)
    _end(retried)


@outbox.command(
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
def purge(letters: tuple[int, ...], aside: bool, everything: bool, config: str | None) -> None:
    """Remove letters for good, and say how many alerts nobody was told of.

    ID is a letter's number in `alertlog outbox list`. `alertlog outbox export` keeps a copy.
    """
    from alertlog import clearing
    from alertlog.listing import number

    if not (letters or aside or everything):
        raise click.UsageError("say which: some IDs, --aside or --all")
    found, removed = desks(config), clearing.Removed()
    with exiting():
        there = {number for desk in found for number in desk.numbers(desk.registered())}
        _refuse_unknown(map(str, letters), set(map(str, there)), "nothing was removed")
        for desk in found:
            removed += clearing.purge(desk, letters)
            removed += clearing.purge_aside(desk) if aside else clearing.Removed()
            removed += clearing.purge_all(desk) if everything else clearing.Removed()
    click.echo(
        f"{number(removed.letters, 'letter')} removed, and {number(removed.alerts, 'alert')} that nobody was told of",
        err=True,
    )


@outbox.command(
    cls=Page,
    exits={0: "done, also where there is nothing", 1: "the outbox is damaged", 75: UNUSABLE, 78: REPAIR},
    examples=("alertlog outbox export > outbox.jsonl", "alertlog outbox export | jq 'select(.type == \"letter\")'"),
)
@config_option
def export(config: str | None) -> None:
    """Print all that is in the outbox, whole, as JSON: one object a line.

    The member `type` is `letter`, `incident`, `mute` or `alert`; an alert is one in a journal that no courier has read
    yet. Alerts have all that a mail would show of them, context and tracebacks included, with the secrets taken out.
    Times are Unix times in seconds. Nothing is changed.
    """
    from alertlog.exporting import records

    with exiting():
        for desk in desks(config):
            for record in records(desk):
                click.echo(json.dumps(record))


def _observer(progress: bool | None) -> Observer:
    from alertlog.progress import Silent, Talking

    wanted = sys.stderr.isatty() if progress is None else progress
    return Talking(_say) if wanted else Silent()


def _say(line: str) -> None:
    click.echo(line, err=True)


def _refuse_unknown(wanted: Iterable[str], there: set[str], outcome: str) -> None:
    """Before anything is done: a number that was mistyped must not end in half of what was meant."""
    missing = [name for name in dict.fromkeys(wanted) if name not in there]
    if missing:
        fail(f"not in the outbox: {', '.join(missing)}; {outcome}", FAILED)


def _places(found: Iterable[Desk]) -> str:
    return ", ".join(sorted({str(desk.place) for desk in found}))


def _end(flushed: Iterable[Flushed]) -> None:
    """Say what it came to, for each owner, and end with the worst of it."""
    outcomes = list(flushed)
    for one in outcomes:
        owner = f"{one.owner.service} ({one.owner.handler}): " if len(outcomes) > 1 else ""
        click.echo(f"{owner}{one.message}", err=True)
    sys.exit(max((EXIT_CODES[one.category] for one in outcomes), default=0))
