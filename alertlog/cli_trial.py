"""The command that sends a simulated alert, and says what the server answered."""

from __future__ import annotations

import json
import sys

import click

from alertlog import completing
from alertlog.console import EXIT_CODES, KEPT, config_option, exiting, handlers, json_option, note
from alertlog.manual import Page

LARGEST_BURST = 500


@click.command(
    cls=Page,
    exits={
        0: "the server accepted each mail for every recipient",
        1: "the server refused the mail, or one of several recipients, for good",
        75: KEPT.partition(";")[0],
        78: "the settings are wrong, or the server does not let alertlog in: for you to repair",
    },
    examples=(
        "alertlog test quota",
        "alertlog test --exception --json",
        "alertlog test missing_price --resolved",
        "alertlog test --burst 20",
    ),
)
@click.argument("kind", default="test", shell_complete=completing.kinds)
@click.option("--exception", "fails", is_flag=True, help="With an exception and its traceback.")
@click.option("--resolved", "ends", is_flag=True, help="Two mails: the alert, and that the trouble is over.")
@click.option(
    "--burst",
    "number",
    type=click.IntRange(2, LARGEST_BURST),
    metavar="N",
    help=f"A drill: N different alerts at once, {LARGEST_BURST} at most, mailed as real ones would be: a few mails.",
)
@config_option
@json_option
def test(kind: str, fails: bool, ends: bool, number: int | None, config: str | None, as_json: bool) -> None:
    """Send a simulated alert of KIND, marked as a test, and say what the server answered.

    It uses the deployment's own configuration and environment, and waits for the outcome at most as long as one
    delivery attempt may take. It is outside of mutes and of the ration of mails, and waits behind nothing. What the
    outbox could not keep of a real alert is said, too. KIND is `test` by default.
    """
    from alertlog.trial import Drill, outbox_trouble, send_test

    if number and ends:
        raise click.UsageError("--burst and --resolved are two drills: one at a time")
    worst = 0
    for handler in handlers(config):
        with exiting():
            outcome = send_test(handler, Drill(kind, number or 1, fails, ends))
        code, trouble = EXIT_CODES[outcome.category], outbox_trouble(handler)
        for line in outcome.notes:
            note(line)
        if trouble:
            note(f"the outbox can't be used, and alerts would be in memory only: {trouble}")
        if as_json:
            result = {"handler": handler.name, "exit_code": code, "message": outcome.message, "outbox": trouble}
            click.echo(json.dumps(result))
        else:
            click.echo("\n".join(outcome.lines), err=code != 0)
        worst = max(worst, code)
    sys.exit(worst)
