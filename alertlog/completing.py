"""Shell completion: a script for each shell, and what may stand in the place of an argument.

The scripts are click's own. They run `alertlog` at each completion, so what is completed here has to be found quickly,
without a word on standard error, and whatever is wrong with the configuration.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stderr, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from alertlog import deployment
from alertlog.errors import AlertlogError
from alertlog.headers import squeezed
from alertlog.manual import Page

if TYPE_CHECKING:
    from alertlog.desk import Desk
    from alertlog.outbox import Outbox

SHELLS = ("bash", "zsh", "fish")
LONGEST = 60
"""Characters of what is said beside a value."""

Clean = Callable[[str], str]
"""Takes out of a text what is known to be a secret by now."""
Part = tuple["Outbox", Clean]
Items = Iterable[tuple[str, str]]
"""Values, and what to say beside each."""


@click.command(
    cls=Page,
    exits={0: "done"},
    examples=(
        'eval "$(alertlog completion bash)"                  # in ~/.bashrc',
        'eval "$(alertlog completion zsh)"                   # in ~/.zshrc, after compinit',
        "alertlog completion fish | source                  # in ~/.config/fish/config.fish",
    ),
)
@click.argument("shell", metavar="SHELL", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    SHELL is bash, zsh or fish. The script completes alertlog's commands, their options and what they can be given:
    kinds from the deployment's configuration, letters, incidents and mutes from its outbox.
    """
    root = click.get_current_context().find_root()
    made_by = get_completion_class(shell)
    assert made_by is not None  # click has all three
    # Not its own `source`, which runs a shell to ask for its version.
    click.echo(ShellComplete.source(made_by(root.command, {}, "alertlog", "_ALERTLOG_COMPLETE")))


def files(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Leave it to the shell, which knows files."""
    return [CompletionItem(incomplete, type="file")]


def kinds(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a kind, by the configuration and what can be simulated."""
    from alertlog.specimens import SPECIMENS

    with redirect_stderr(io.StringIO()), suppress(AlertlogError):
        handlers = deployment.handlers(context.params.get("config"), Path())
        named = {kind for handler in handlers for kind in handler.works.arguments.subjects}
        return _items([(kind, "") for kind in sorted({*named, *SPECIMENS})], incomplete)
    return []


def letters(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the number of a letter."""
    return _items([one for part in _parts(context) for one in _letters(*part)], incomplete)


def retries(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the number of a letter, or the fingerprint of an incident that no letter speaks of."""
    return _items([one for part in _parts(context) for one in (*_letters(*part), *_incidents(*part))], incomplete)


def mutables(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete what can be muted: a kind, or the fingerprint of an open incident."""
    open_ones = _items([one for part in _parts(context) for one in _incidents(*part)], incomplete)
    return [*kinds(context, parameter, incomplete), *open_ones]


def mutes(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete what is muted."""
    return _items(
        [(mute.target, known(mute.reason)) for part, known in _parts(context) for mute in part.mutes.all()], incomplete
    )


def _parts(context: click.Context) -> Iterator[Part]:
    """Yield each owner's part of the outboxes that the deployment uses, as far as that is possible."""
    with redirect_stderr(io.StringIO()), suppress(AlertlogError):
        for desk in _desks(context):
            for owner in desk.registered():
                with desk.part(owner) as part:
                    yield part, desk.works(owner).redactor.known


def _desks(context: click.Context) -> list[Desk]:
    from alertlog.desk import desks

    return desks(deployment.handlers(context.params.get("config"), Path()))


def _letters(part: Outbox, known: Clean) -> Items:
    return [(str(letter.id), known(letter.draft.incidents[0].alert.summary)) for letter in part.letters.all()]


def _incidents(part: Outbox, known: Clean) -> Items:
    return [(incident.fingerprint, known(incident.alert.summary)) for incident in part.incidents.unspoken()]


def _items(values: Items, incomplete: str) -> list[CompletionItem]:
    """Return those that begin so; what is said beside them goes to a terminal, one line each."""
    return [
        CompletionItem(value, help=squeezed(said, LONGEST) or None)
        for value, said in values
        if value.startswith(incomplete)
    ]
