"""The command that checks a deployment, step by step, without sending anything."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alertlog.console import EXIT_CODES, config_option, json_option, up_to_a_week
from alertlog.manual import Page

if TYPE_CHECKING:
    from alertlog.steps import Step


@click.command(
    cls=Page,
    exits={
        0: "nothing is in the way; there may be warnings",
        1: "the server refuses one of several recipients, or the outbox is damaged",
        75: "the server is away or puts off, or more waits than is allowed",
        78: "something has to be changed: each failed step says what",
    },
    examples=(
        "alertlog check",
        "alertlog check --json",
        "alertlog check --offline --max-waiting 20 --max-age 30m || exit 1",
    ),
)
@click.option("--offline", is_flag=True, help="Leave the network alone: configuration, settings and outbox only.")
@click.option(
    "--max-waiting", type=click.IntRange(min=0), metavar="N", help="Fail if more than N mails and alerts wait."
)
@click.option(
    "--max-age",
    callback=up_to_a_week,
    metavar="TIME",
    help="Fail if one of them waits longer: 90s, 30m, 2h or 1d; 7d at most.",
)
@config_option
@json_option
def check(offline: bool, max_waiting: int | None, max_age: float | None, config: str | None, as_json: bool) -> None:
    """Walk the way of a mail, one line a step, up to what stops it, and say what to change. Nothing is sent.

    The steps: configuration, settings, templates of your own, outbox and what waits in it, then the server's name,
    connection, greeting, capabilities, TLS, login, sender, recipients and size; at the end Redis, where hosts share
    one, and the clock. The server's part takes no longer than SMTP_TIMEOUT_SECONDS, and a second look at a server that
    fails a few seconds.

    It reads the deployment's own configuration and environment: run it where the program runs, as its user. With
    --offline and the limits it is a health check; without, a probe for each hour.
    """
    from alertlog.clock import SystemClock
    from alertlog.walk import Scope
    from alertlog.walk import check as walk
    from alertlog.walk_waiting import Limits

    codes = [0]

    def tell(step: Step) -> None:
        codes.append(EXIT_CODES[step.category])
        for line in [json.dumps(step.to_dict())] if as_json else step.lines():
            click.echo(line)

    walk(config, Path(), SystemClock(), Scope(offline, Limits(max_waiting, max_age)), tell)
    sys.exit(max(codes))
