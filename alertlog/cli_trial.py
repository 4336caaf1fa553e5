"""The command that sends a simulated alert, and says what the server answered."""

from __future__ import annotations

import json
import sys

import click

from alertlog.console import EXIT_CODES, config_option, exiting, handlers, json_option


@click.command()
@click.argument("kind", default="test")
@config_option
@json_option
def test(kind: str, config: str | None, as_json: bool) -> None:
    """Send one simulated alert of KIND, marked as a test, and say what the server answered.

    It uses the deployment's own configuration and environment, and waits for the outcome at most as long as one
    delivery attempt may take.
    """
    from alertlog.trial import send_test

    worst = 0
    for handler in handlers(config):
        with exiting():
            outcome = send_test(handler, kind)
        code = EXIT_CODES[outcome.category]
        if as_json:
            click.echo(json.dumps({"handler": handler.name, "exit_code": code, "message": outcome.message}))
        else:
            click.echo(outcome.message, err=code != 0)
        worst = max(worst, code)
    sys.exit(worst)
