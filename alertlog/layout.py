"""The two forms of a letter, laid out by Jinja2 from one view: by alertlog's templates, or by the deployer's own.

A template that fails never costs the mail: alertlog's own takes its place, and whoever composes is told why.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from textwrap import fill

from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, PackageLoader, PrefixLoader, StrictUndefined

from alertlog.headers import squeezed
from alertlog.view import View

TEXT, HTML = "letter.txt", "letter.html"
"""The names of the templates, in alertlog and in a deployer's folder."""
HTML_LIMIT = 100_000
"""Bytes of the HTML part; Gmail hides what comes after 102 kB."""
PROBLEM_LIMIT = 500
"""Characters of what is said about a template that failed."""

_HTML_SIZES = ((70_000, 200), (16_000, 200), (4_000, 100), (1_000, 50), (150, 50), (40, 16))
"""Characters of each text and number of sections to try, until the HTML part keeps within its limit."""
_HTML_LEAST = 40, 6
"""The same where nothing else would do; with these it always keeps within it."""
_LINE_ENDS = re.compile(r"\r\n?")
_LABEL_WIDTH = 22
_TEXT_WIDTH = 78

Make = Callable[[Environment, View], str]


@dataclass(frozen=True, slots=True)
class Laid:
    """One part of a letter, and what the deployer's own template for it failed with, or ""."""

    text: str
    problem: str = ""


def plain(view: View, folder: str) -> Laid:
    """Return the text part. `folder` may hold a template of the deployer's own; "" for alertlog's."""
    return _laid(TEXT, _plain, view, folder)


def page(view: View, folder: str) -> Laid:
    """Return the HTML part, within its limit as far as the template leaves that to the view."""
    return _laid(HTML, _page, view, folder)


def _laid(name: str, make: Make, view: View, folder: str) -> Laid:
    problem = ""
    if folder:
        try:
            return Laid(_own(folder, name, make, view))
        except Exception as error:  # whatever it does, it is no reason to tell nobody
            problem = _said(error, folder)
    return Laid(make(_environment(""), view), problem)


def _own(folder: str, name: str, make: Make, view: View) -> str:
    there = [known for known in (TEXT, HTML) if os.path.lexists(os.path.join(folder, known))]
    if not there:
        raise FileNotFoundError(f"{folder} holds neither {TEXT} nor {HTML}")
    if name in there and not os.path.isfile(os.path.join(folder, name)):
        raise FileNotFoundError(f"{folder}/{name} is no file")  # Jinja2 would take it for one that is not there
    text = _LINE_ENDS.sub("\n", make(_environment(folder, *there), view))
    text.encode()  # what UTF-8 can't hold must fail here, where there is something to take its place
    if not text.strip():
        raise ValueError(f"{name} says nothing")
    return text if text.endswith("\n") else f"{text}\n"  # by its line ends the encoder tells which ones to write


def _said(error: Exception, folder: str) -> str:
    """Return an error in one line, with the line of the template."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(folder)]
    lines.append(getattr(error, "lineno", None))
    where = next((f" (line {line})" for line in reversed(lines) if line), "")
    return squeezed(f"{type(error).__name__}: {error}", PROBLEM_LIMIT) + where


def _plain(environment: Environment, view: View) -> str:
    return environment.get_template(TEXT).render(view=view)


def _page(environment: Environment, view: View) -> str:
    render = environment.get_template(HTML).render
    for characters, sections in _HTML_SIZES:
        html = render(view=view.within(characters, sections))
        if len(html.encode()) <= HTML_LIMIT:
            return html
    return render(view=view.within(*_HTML_LEAST))


@lru_cache(maxsize=8)
def _environment(folder: str, *_there: str) -> Environment:
    """`folder` goes before alertlog's own, which stays within its reach as `alertlog/letter.html`.

    There is one for each set of templates that are there: Jinja2 keeps alertlog's own, and does not look for another.
    """
    ours = PackageLoader("alertlog")
    loader: BaseLoader = ours
    if folder:
        loader = ChoiceLoader([FileSystemLoader(folder), PrefixLoader({"alertlog": ours}), ours])
    environment = Environment(
        loader=loader,
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        auto_reload=bool(folder),  # repaired while the program runs, a template is used for the next mail
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(wrapped=_wrapped, columns=_columns)
    return environment


def _wrapped(text: str) -> str:
    return fill(text, _TEXT_WIDTH, break_long_words=False, break_on_hyphens=False)


def _columns(rows: Sequence[tuple[str, str]]) -> str:
    """Return rows as lines of label and value; further lines of a value are indented, to look like no row."""
    width = min(max(len(label) for label, _value in rows), _LABEL_WIDTH)
    indent = "\n" + " " * (width + 2)
    return "\n".join(f"{label:<{width}}  {value.replace(chr(10), indent)}".rstrip() for label, value in rows)
