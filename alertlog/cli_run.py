"""The command `alertlog run`."""

from __future__ import annotations

import sys

import click

from alertlog import completing
from alertlog.console import config_option, duration
from alertlog.manual import Page

up_to_a_month = duration(30)


@click.command(
    cls=Page,
    context_settings={"allow_interspersed_args": False},
    exits={0: "COMMAND succeeded; any other code is its own, too"},
    examples=(
        "alertlog run -- /usr/local/bin/backup --full",
        "alertlog run --name backup --max-time 2h --kill-after 30m -- backup --full",
    ),
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, shell_complete=completing.files)
@click.option("--name", default="", metavar="TEXT", help="Who failed, as the mail says; else the command's file name.")
@click.option("--kind", default="run", show_default=True, metavar="KIND", help="The kind of the alerts.")
@click.option("--max-time", callback=up_to_a_month, metavar="TIME", help="Alert if it runs longer: 90s, 30m, 2h or 1d.")
@click.option(
    "--kill-after",
    callback=up_to_a_month,
    metavar="TIME",
    help="End it that long after --max-time, by SIGTERM, ten seconds later by SIGKILL.",
)
@config_option
def run(
    command: tuple[str, ...],
    name: str,
    kind: str,
    max_time: float | None,
    kill_after: float | None,
    config: str | None,
) -> None:
    """Run COMMAND and alert if it fails, is killed, or runs too long, with the last lines that it wrote.

    COMMAND is any program with its arguments; -- before it keeps them apart from alertlog's own options. Its output,
    its exit code and the signals sent to it pass through; what a signal ended gives 128 and the signal's number, what
    can't be executed 126, what is not there 127. A success after a failure resolves the incident. A configuration that
    can't be read keeps nothing from running: then the environment alone says where mail goes.
    """
    from alertlog.watch import Job, run

    if kill_after is not None and max_time is None:
        raise click.UsageError("--kill-after counts from the end of --max-time, which is not given")
    if not kind.strip():
        raise click.BadParameter("is empty", param_hint="--kind")
    sys.exit(run(Job(command, name.strip(), kind, config, max_time, kill_after)))
