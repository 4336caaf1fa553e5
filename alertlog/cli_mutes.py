"""The commands that silence an incident for some time, and end that."""

from __future__ import annotations

import re

import click

from alertlog.console import FAILED, config_option, desks, exiting, fail

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
"""By the unit of a duration."""
LONGEST_MUTE = 7 * SECONDS["d"]
"""Seconds; alerts are kept for as long."""


def _duration(_context: click.Context, _option: click.Parameter, text: str) -> float:
    """Return the seconds of a time such as `90s`, `30m`, `2h` or `1d`."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    seconds = int(found[1]) * SECONDS[found[2]] if found else 0
    if not 0 < seconds <= LONGEST_MUTE:
        raise click.BadParameter("has to be a time such as 90s, 30m, 2h or 1d; 7d at most: alerts are kept a week")
    return seconds


@click.command()
@click.argument("target", metavar="KIND|FINGERPRINT")
@click.option(
    "--for", "seconds", callback=_duration, required=True, metavar="TIME", help="90s, 30m, 2h or 1d; at most 7d."
)
@click.option("--reason", default="", metavar="TEXT", help="Why; the mail at the end says so.")
@config_option
def mute(target: str, seconds: float, reason: str, config: str | None) -> None:
    """Mail nothing about a kind or a fingerprint for some time. Its alerts are counted, and told when that is over."""
    from alertlog.listing import moment

    if not target.strip():  # an unset variable of a script's would silence every alert without a kind
        raise click.BadParameter("is empty", param_hint="KIND|FINGERPRINT")
    for desk in desks(config):
        with exiting():
            muting = desk.mute(target, seconds, reason)
        owners = ", ".join(f"{owner.service} ({owner.handler})" for owner in muting.owners)
        click.echo(f"{target} is muted until {moment(muting.until)} for {owners}", err=True)


@click.command()
@click.argument("target", metavar="KIND|FINGERPRINT")
@config_option
def unmute(target: str, config: str | None) -> None:
    """End a mute. What it held back is told now."""
    with exiting():
        ended = [desk.unmute(target) for desk in desks(config)]
    if not any(ended):
        fail(f"{target} is not muted", FAILED)
    click.echo(f"{target} is not muted any more", err=True)
