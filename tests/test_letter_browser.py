"""A page in a real browser: axe finds nothing that keeps anybody from reading it, light or dark.

It needs Chromium and axe-core (npm): ALERTLOG_TEST_AXE names the file `axe.min.js`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alertlog.letter import Wording
from tests.letters import ENGLISH, FRENCH, html_of, in_paris, letter, read, samples
from tests.needs import lacking

PATIENCE = 60.0
"""Seconds after which a browser hangs."""
AXE = os.environ.get("ALERTLOG_TEST_AXE", "")
REPORT = """
axe.run().then(result => {
    const report = document.createElement("script");
    report.type = "application/json";
    report.id = "report";
    report.textContent = JSON.stringify({
        dark: matchMedia("(prefers-color-scheme: dark)").matches,
        wide: document.documentElement.scrollWidth > innerWidth,
        violations: result.violations.map(one => [one.id, one.nodes[0].html]),
        passes: result.passes.map(one => one.id),
    });
    document.body.append(report);
});
"""
DARK, LIGHT = 0, 1
"""Chromium's numbers of the schemes that a reader can prefer."""


@pytest.fixture
def axe() -> str:
    if shutil.which("chromium") is None:
        lacking("chromium", "it is not installed")
    if not Path(AXE).is_file():
        lacking("axe-core", "ALERTLOG_TEST_AXE does not name its axe.min.js")
    return Path(AXE).read_text("utf-8")


@pytest.fixture(autouse=True)
def paris() -> Iterator[None]:
    with in_paris():
        yield


def looked_at(html: str, axe: str, scheme: int, folder: Path) -> dict[str, Any]:
    """What axe says of a page, as a reader sees it who prefers this scheme."""
    page = folder / "page.html"
    page.write_text(html.replace("</body>", f"<script>{axe}</script><script>{REPORT}</script></body>"), "utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"]
    settings = [f"--blink-settings=preferredColorScheme={scheme}", f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run([*command, *settings, page.as_uri()], capture_output=True, timeout=PATIENCE)
    found = re.search(r'id="report">(.*?)</script>', done.stdout.decode(), re.DOTALL)
    assert found, done.stderr.decode()[-2_000:]
    report: dict[str, Any] = json.loads(found[1])
    return report


@pytest.mark.parametrize("scheme", [DARK, LIGHT], ids=["dark", "light"])
@pytest.mark.parametrize(("name", "wording"), [("opening", ENGLISH), ("digest", FRENCH)], ids=["opening", "digest"])
def test_axe_finds_nothing_in_a_page(name: str, wording: Wording, scheme: int, axe: str, tmp_path: Path) -> None:
    report = looked_at(html_of(read(letter(samples()[name], wording))), axe, scheme, tmp_path)
    assert report["dark"] == (scheme == DARK)
    assert report["violations"] == []
    assert not report["wide"]
    assert {"color-contrast", "html-has-lang", "heading-order", "region"} <= set(report["passes"])


def test_axe_finds_what_there_is(axe: str, tmp_path: Path) -> None:
    html = html_of(read(letter())).replace(' lang="en"', "").replace("color:#101828", "color:#f0f0f0")
    found = {name for name, _node in looked_at(html, axe, LIGHT, tmp_path)["violations"]}
    assert {"html-has-lang", "color-contrast"} <= found
