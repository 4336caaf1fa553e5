"""The operator's commands: the group, the demo, and where the others are added."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from alertlog.cli_mutes import mute, unmute
from alertlog.cli_outbox import outbox
from alertlog.cli_trial import test
from alertlog.console import FAILED, fail


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="alertlog")
def main() -> None:
    """Log records that become mail: try it, test a deployment, look into its outbox.

    Exit codes: 0 done, 1 failed for good, 2 usage, 75 temporary (try again), 78 configuration (repair it first).
    """


@main.command()
@click.option(
    "--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep the mails there as .eml and .html."
)
def demo(keep: Path | None) -> None:
    """Run a sample portfolio ETL against a mail server of its own and show what arrives."""
    from alertlog.demo.show import run_demo

    try:
        sys.exit(run_demo(keep, sys.stdout))
    except OSError as error:
        fail(str(error), FAILED)


main.add_command(test)
main.add_command(mute)
main.add_command(unmute)
main.add_command(outbox)
