"""The commands that silence an incident for some time, and end that."""

from __future__ import annotations

import click

from alertlog import completing
from alertlog.console import FAILED, REPAIR, UNUSABLE, config_option, desks, exiting, fail, up_to_a_week
from alertlog.manual import Page


@click.command(
    cls=Page,
    exits={0: "muted", 1: "the outbox is damaged", 75: UNUSABLE, 78: REPAIR},
    examples=(
        'alertlog mute quota --for 2h --reason "the provider moves"',
        "alertlog mute 3f2a9c5517d0be84 --for 1d",
    ),
)
@click.argument("target", metavar="KIND|FINGERPRINT", shell_complete=completing.mutables)
@click.option(
    "--for",
    "seconds",
    callback=up_to_a_week,
    required=True,
    metavar="TIME",
    help="For how long: 90s, 30m, 2h or 1d; 7d at most.",
)
@click.option("--reason", default="", metavar="TEXT", help="Why; the mail at the end says so.")
@config_option
def mute(target: str, seconds: float, reason: str, config: str | None) -> None:
    """Mail nothing about a kind or a fingerprint for some time. Its alerts are counted, and told when that is over.

    KIND is what the program gives by extra={"alert": KIND}; the FINGERPRINT is at the end of each mail, and in
    `alertlog outbox list`. The mute holds in all processes of the service. A second one of the same takes the place of
    the first.
    """
    from alertlog.listing import moment

    if not target.strip():  # an unset variable of a script's would silence every alert without a kind
        raise click.BadParameter("is empty", param_hint="KIND|FINGERPRINT")
    for desk in desks(config):
        with exiting():
            muting = desk.mute(target, seconds, reason)
        owners = ", ".join(f"{owner.service} ({owner.handler})" for owner in muting.owners)
        click.echo(f"{target} is muted until {moment(muting.until)} for {owners}", err=True)


@click.command(
    cls=Page,
    exits={0: "done", 1: "nothing of that name is muted, or the outbox is damaged", 75: UNUSABLE, 78: REPAIR},
    examples=("alertlog unmute quota",),
)
@click.argument("target", metavar="KIND|FINGERPRINT", shell_complete=completing.mutes)
@config_option
def unmute(target: str, config: str | None) -> None:
    """End a mute before its time.

    KIND or FINGERPRINT is what was muted, as `alertlog outbox list` shows it. What the mute held back is told by the
    process that runs; where none does, by the next one or by `alertlog outbox flush`.
    """
    from alertlog.listing import number

    with exiting():
        ended = [one for desk in desks(config) for one in desk.unmute(target)]
    if not ended:
        fail(f"{target} is not muted", FAILED)
    click.echo(f"{target} is not muted any more", err=True)
    if now := sum(one.held for one in ended if one.running):
        click.echo(f"{number(now, 'alert')} that it held back: told by the process that runs", err=True)
    if later := sum(one.held for one in ended if not one.running):
        said = "no process runs that tells them: the next one does, or `alertlog outbox flush`"
        click.echo(f"{number(later, 'alert')} that it held back: {said}", err=True)
