"""The commands that look into an outbox: the group, to which those are added that send, and clear it."""

from __future__ import annotations

import json
import sys

import click

from alertlog import completing
from alertlog.cli_sending import flush, purge, retry
from alertlog.console import (
    FAILED,
    KEPT,
    NOT_SENT,
    REPAIR,
    UNUSABLE,
    config_option,
    desks,
    exiting,
    json_option,
    outbox_option,
    refuse_ambiguous,
)
from alertlog.manual import Contents, Page


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
@outbox_option
@json_option
def list_(config: str | None, only: str | None, as_json: bool) -> None:
    """List what is in the outbox, and what each thing waits for.

    One line each, of all services: letters that wait or are set aside, with their numbers; the other open incidents;
    mutes; and what is in the journals of processes and not read yet. After the number and the state come service,
    handler, how many alerts nobody was told of, kind and summary; then what it waits for and until when, attempts with
    the last error, and the fingerprint.
    """
    from alertlog.listing import entries

    with exiting():
        for desk in desks(config, only):
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
@outbox_option
def show(letter: int, eml: bool, config: str | None, only: str | None) -> None:
    """Print a letter as the mail that would be sent today: headers and text.

    ID is its number in `alertlog outbox list`. Who writes to whom is the settings' business; where they are not
    complete here, a message says what is not known.
    """
    from alertlog.showing import content

    with exiting():
        found = [shown for desk in desks(config, only) if (shown := content(desk, letter)) is not None]
    refuse_ambiguous([str(letter)] * len(found))
    for shown in found:
        click.echo(shown.content if eml else shown.text, nl=False)
        if shown.unknown:
            click.echo(f"alertlog: who writes to whom is not known: {shown.unknown}", err=True)
        return
    click.echo(f"no letter {letter} in the outbox", err=True)
    sys.exit(FAILED)


@outbox.command(
    cls=Page,
    exits={0: "done, also where there is nothing", 1: "the outbox is damaged", 75: UNUSABLE, 78: REPAIR},
    examples=("alertlog outbox export > outbox.jsonl", "alertlog outbox export | jq 'select(.type == \"letter\")'"),
)
@config_option
@outbox_option
def export(config: str | None, only: str | None) -> None:
    """Print all that is in the outbox, whole, as JSON: one object a line.

    The member `type` is `letter`, `incident`, `mute` or `alert`; an alert is one in a journal that no courier has read
    yet. Alerts have all that a mail would show of them, context and tracebacks included, with the secrets taken out.
    Times are Unix times in seconds. Nothing is changed.
    """
    from alertlog.exporting import records

    with exiting():
        for desk in desks(config, only):
            for record in records(desk):
                click.echo(json.dumps(record))


outbox.add_command(flush)
outbox.add_command(retry)
outbox.add_command(purge)
