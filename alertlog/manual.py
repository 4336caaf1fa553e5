"""Commands whose `--help` is enough by itself: what they do, their options, what each exit code means, and examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

WRONG_USAGE = "wrong usage; nothing was done"


class _Manual(click.Command):
    """What a page of the manual has beside click's own sections.

    Args:
        exits: what each exit code means, by the code; that of wrong usage, 2, is added.
        examples: command lines as somebody would type them.
    """

    def __init__(self, *arguments: Any, exits: Mapping[int, str], examples: Sequence[str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.exits = dict(sorted({**exits, click.UsageError.exit_code: WRONG_USAGE}.items()))
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), text) for code, text in self.exits.items()])
        with formatter.section("Examples"):
            for example in self.examples:  # not wrapped: to be copied
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


class Page(_Manual):
    """A command with its page."""


class Contents(_Manual, click.Group):
    """A group of commands with its page."""
