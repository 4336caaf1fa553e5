"""The operator's commands: the group, the demo, and where the others are added."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from alertlog.cli_check import check
from alertlog.cli_mutes import mute, unmute
from alertlog.cli_outbox import outbox
from alertlog.cli_preview import preview
from alertlog.cli_run import run
from alertlog.cli_trial import test
from alertlog.completing import completion
from alertlog.console import FAILED, KEPT, REPAIR, fail
from alertlog.manual import Contents, Page


@click.group(
    cls=Contents,
    context_settings={"help_option_names": ["-h", "--help"]},
    exits={0: "done", 1: "failed for good", 75: KEPT, 78: REPAIR},
    examples=(
        "alertlog demo",
        "alertlog check",
        "alertlog test quota",
        "alertlog outbox list",
        "alertlog outbox flush --help",
    ),
)
@click.version_option(package_name="alertlog")
def main() -> None:
    """Log records that become mail: try it, test a deployment, look into its outbox.

    The commands go by the deployment's own configuration: --config, by default logging.yaml in the current folder, and
    the environment: SMTP_HOST, SMTP_FROM, SMTP_TO, SMTP_USERNAME, SMTP_PASSWORD and others, ALERTLOG_OUTBOX,
    ALERTLOG_SERVICE. Data goes to standard output, messages to standard error.

    The --help of each command says what it does, and what its exit codes mean.
    """


@main.command(
    cls=Page,
    exits={
        0: "done",
        1: "the pipeline failed, no mail came, or the mails could not be kept",
        78: "what the demo needs is not installed",
    },
    examples=("alertlog demo", "alertlog demo --keep mails"),
)
@click.option(
    "--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep the mails there as .eml and .html."
)
def demo(keep: Path | None) -> None:
    """Run a sample portfolio ETL against a mail server of its own and show what arrives.

    Nothing leaves this machine. It needs the extra `demo`.
    """
    from alertlog.demo.show import run_demo

    try:
        sys.exit(run_demo(keep, sys.stdout))
    except OSError as error:
        fail(str(error), FAILED)


main.add_command(check)
main.add_command(test)
main.add_command(preview)
main.add_command(run)
main.add_command(mute)
main.add_command(unmute)
main.add_command(outbox)
main.add_command(completion)
