"""Sphinx, for both languages.

English: sphinx-build -W docs OUT
French:  sphinx-build -W -c docs -D language=fr docs/fr OUT
"""

from __future__ import annotations

import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = PROJECT["name"]
author = PROJECT["authors"][0]["name"]
project_copyright = f"2026, {author}"
release = version = PROJECT["version"]

language = "en"
extensions = ["myst_parser"]
# The French pages are a source folder of their own; the examples are shown by the pages, not pages themselves.
exclude_patterns = ["_build", "fr", "examples"]

html_theme = "furo"
html_title = f"{project} {version}"
html_copy_source = False
# The theme offers links to a hosted repository there, and there is none to name.
html_theme_options: dict[str, list[str]] = {"top_of_page_buttons": []}
