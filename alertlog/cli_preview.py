"""The command that shows what a mail would look like."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, cast

import click

from alertlog import completing
from alertlog.console import (
    CONFIGURATION,
    FAILED,
    UNUSABLE,
    config_option,
    desks,
    exiting,
    fail,
    handlers,
    outbox_option,
    refuse_ambiguous,
)
from alertlog.manual import Page
from alertlog.specimens import OCCASIONS, Occasion

if TYPE_CHECKING:
    from alertlog.preview import Form, Meant, Planned

ENDINGS = {"text": ".txt", "html": ".html", "eml": ".eml"}
"""Of the name of a file, by the form of the mail in it."""


@click.command(
    cls=Page,
    exits={
        0: "shown",
        1: "it is not in the outbox, several are meant, or nothing here can open it",
        75: UNUSABLE,
        78: "the configuration is wrong, or a template of your own fails: for you to repair",
    },
    examples=(
        "alertlog preview",
        "alertlog preview quota --format html > quota.html",
        "alertlog preview digest --open",
        "alertlog preview --incident quota --reason closing",
    ),
)
@click.argument("kind", default="", shell_complete=completing.kinds)
@click.option(
    "--reason", "occasion", type=click.Choice(OCCASIONS),
    help="Why the mail is written: by default the first one, or the next one about what is in the outbox.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(tuple(ENDINGS)), help="Text by default, html with --open; eml is the mail."
)
@click.option("--open", "opened", is_flag=True, help="Write it into a file, and open that as a desktop does.")
@click.option("--letter", type=int, metavar="ID", shell_complete=completing.letters, help="A letter in the outbox.")
@click.option(
    "--incident", "incidents", multiple=True, metavar="FINGERPRINT|KIND", shell_complete=completing.mutables,
    help="An incident in the outbox, as it is now; several for a digest.",
)  # fmt: skip
@click.option("--handler", "name", metavar="NAME", help="Which handler's mail; the first one's by default.")
@config_option
@outbox_option
def preview(
    kind: str,
    occasion: Occasion | None,
    form: Form | None,
    opened: bool,
    letter: int | None,
    incidents: tuple[str, ...],
    name: str | None,
    config: str | None,
    only: str | None,
) -> None:
    """Show what a mail would look like, without sending it.

    It is about made-up alerts of KIND, as `alertlog test` sends them, by default about an exception. KIND may be a
    reason, too: `alertlog preview digest`. With --letter or --incident it is about what is in the outbox.
    """
    if sum((bool(kind), letter is not None, bool(incidents))) > 1:
        raise click.UsageError("only one of KIND, --letter and --incident")
    if letter is not None and occasion:
        raise click.UsageError("a letter has a reason already: --letter goes without --reason")
    if name is not None and (letter is not None or incidents):
        raise click.UsageError("what is in the outbox has its handler: --handler goes with made-up alerts only")
    if only is not None and letter is None and not incidents:
        raise click.UsageError("made-up alerts are in no outbox: --outbox goes with --letter and --incident")
    if letter is not None:
        planned = _waiting(letter, config, only)
    elif incidents:
        planned = _about(incidents, occasion, config, only)
    else:
        planned = _sample(kind, occasion, name, config)
    _show(planned, form or ("html" if opened else "text"), opened)


def _sample(kind: str, occasion: Occasion | None, name: str | None, config: str | None) -> Planned:
    from alertlog.preview import sample

    found = handlers(config)
    named = [handler for handler in found if name in (None, handler.name)]
    if not named:
        known = ", ".join(str(handler.name) for handler in found)
        raise click.BadParameter(f"there is no {name}, but {known}", param_hint="--handler")
    if occasion is None and kind in OCCASIONS:
        kind, occasion = "", cast(Occasion, kind)
    return sample(named[0], kind, occasion or "first")


def _waiting(letter: int, config: str | None, only: str | None) -> Planned:
    from alertlog.preview import waiting

    with exiting():
        found = waiting(desks(config, only), letter)
    refuse_ambiguous([str(letter)] * len(found))
    return found[0] if found else fail(f"no letter {letter} in the outbox", FAILED)


def _about(incidents: tuple[str, ...], occasion: Occasion | None, config: str | None, only: str | None) -> Planned:
    from alertlog.preview import about, meant

    if not all(incidents):
        raise click.BadParameter("is empty", param_hint="--incident")
    with exiting():
        found = meant(desks(config, only), incidents)
    if not found:
        fail(f"no incident {' or '.join(incidents)} in the outbox", FAILED)
    _refuse_several(found, " or ".join(incidents))
    try:
        return about(found[0], occasion)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _refuse_several(found: list[Meant], targets: str) -> None:
    """A mail tells of one owner's incidents, from one outbox; whose, nobody is to guess."""
    refuse_ambiguous([targets] * len({one.desk.place for one in found}))
    if len(found) > 1:
        fail(f"of several handlers: {'; '.join(map(str, found))}; say which by --incident NUMBER", FAILED)


def _show(planned: Planned, form: Form, opened: bool) -> None:
    from alertlog.preview import rendered

    mail = rendered(planned, form)
    if opened:
        _open(mail.content, ENDINGS[form])
    else:
        click.echo(mail.content.decode().replace("\r\n", "\n"), nl=False)
    if mail.unknown:
        click.echo(f"alertlog: who writes to whom is not known: {mail.unknown}", err=True)
    if mail.trouble:
        fail(f"alertlog's own template took the place of one: {mail.trouble}", CONFIGURATION)


def _open(content: bytes, ending: str) -> None:
    with tempfile.NamedTemporaryFile(prefix="alertlog-preview-", suffix=ending, delete=False) as file:
        file.write(content)
    click.echo(f"written to {file.name}", err=True)
    if click.launch(file.name, wait=True) != 0:
        fail("nothing here can open it", FAILED)
