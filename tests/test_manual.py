"""The `--help` of each command is enough by itself: what it does, options, exit codes, and examples that work."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from alertlog.cli import main
from alertlog.console import EXIT_CODES
from alertlog.manual import Contents, Page


def _pages(path: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    for name, one in getattr(command, "commands", {}).items():
        yield from _pages((*path, name), one)


PAGES = list(_pages((), main))
EACH = pytest.mark.parametrize(("path", "command"), PAGES, ids=[" ".join(("alertlog", *path)) for path, _ in PAGES])


def shown(path: tuple[str, ...]) -> str:
    result = CliRunner().invoke(main, [*path, "--help"], prog_name="alertlog", terminal_width=120)
    assert result.exit_code == 0
    return result.stdout


def listed(text: str, section: str) -> list[str]:
    """The lines of one section."""
    found = re.search(rf"^{section}:\n((?:  .*\n)+)", text, re.MULTILINE)
    assert found, f"no {section}"
    return found[1].splitlines()


@EACH
def test_each_command_has_a_page_with_a_purpose_exit_codes_and_examples(
    path: tuple[str, ...], command: click.Command
) -> None:
    text = shown(path)
    assert re.match(rf"Usage: {' '.join(('alertlog', *path))} .*\n\n  [A-Z].*\.\n", text)
    codes = {int(line.split()[0]) for line in listed(text, "Exit codes") if re.match(r"  \d", line)}
    assert {0, 2} <= codes <= {*EXIT_CODES.values(), 2}
    assert isinstance(command, (Page, Contents))
    assert [line.strip() for line in listed(text, "Examples")] == list(command.examples)


@EACH
def test_each_option_and_each_argument_is_explained(path: tuple[str, ...], command: click.Command) -> None:
    text = shown(path)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert re.match(r"[A-Z].*\.$", parameter.help), parameter.name
        else:
            name = parameter.make_metavar(click.Context(command)).strip("[].").partition("|")[0]
            assert name in text.split("\n\n", 1)[1]


@EACH
def test_each_example_is_one_that_the_command_understands(path: tuple[str, ...], command: click.Command) -> None:
    assert isinstance(command, (Page, Contents))
    assert command.examples
    for example in command.examples:
        found = re.search(r"\balertlog( [^|>)#]*)", example)
        assert found, example
        words = shlex.split(found[1])
        assert words[: len(path)] == list(path)
        with main.make_context("alertlog", words, resilient_parsing="--help" in words) as context:
            assert _understood(main, context)


def _understood(command: click.Command, context: click.Context) -> bool:
    """Have each command of the line parse what is for it, without running any."""
    if not isinstance(command, click.Group):
        return True
    words = [*context._protected_args, *context.args]
    _name, inner, rest = command.resolve_command(context, words)
    assert inner is not None
    return _understood(inner, inner.make_context("x", rest, parent=context, resilient_parsing="--help" in rest))


def test_wrong_usage_says_how_to_get_help() -> None:
    result = CliRunner().invoke(main, ["outbox", "retry", "--nonsense"], prog_name="alertlog")
    assert result.exit_code == 2
    assert "Try 'alertlog outbox retry -" in result.stderr
