"""The table of mistakes in the documentation: each is made for real, and the check says what the table says."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from alertlog.advice import Rule
from alertlog.diagnosis import MISTAKES
from alertlog.mistakes_outbox import OF_REDIS, OF_THE_CLOCK, OF_THE_OUTBOX, OF_WHAT_WAITS
from alertlog.mistakes_settings import OF_THE_CONFIGURATION, OF_THE_SETTINGS, OF_THE_TEMPLATES
from tests import provoked_here, provoked_there
from tests.certificates import Authority
from tests.pages import code, pages
from tests.scenes import Checked, Scene

Provoke = Callable[[Scene], Checked]

TABLE: tuple[Rule, ...] = (
    *OF_THE_CONFIGURATION, *OF_THE_SETTINGS, *OF_THE_TEMPLATES, *OF_THE_OUTBOX, *OF_WHAT_WAITS, *MISTAKES, *OF_REDIS,
    *OF_THE_CLOCK,
)  # fmt: skip
ROWS = {code(row[0])[0]: row[1:] for row in pages("en")["checking.md"].table("checking-mistakes")}
STOPS = frozenset({"name", "connect", "greeting", "capabilities", "tls", "login", "sender"})


def provocations(module: ModuleType) -> dict[str, Provoke]:
    """The functions of a module that make the mistake that they are named after."""
    return {
        name.replace("_", "-"): function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and list(inspect.signature(function).parameters) == ["scene"]
    }


PROVOKE = provocations(provoked_here) | provocations(provoked_there)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: Authority, stranger: Authority) -> Scene:
    return Scene(tmp_path, monkeypatch, authority, stranger)


def says(cell: str, text: str) -> bool:
    """Whether a text is what a cell of the table says, where an ellipsis stands for anything."""
    bare = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", cell).replace("`", "")
    pattern = ".+".join(map(re.escape, bare.split("…")))
    return re.fullmatch(pattern, text) is not None


@pytest.mark.parametrize("mistake", ROWS)
def test_each_mistake_is_named_with_its_cause_and_its_remedy(scene: Scene, mistake: str) -> None:
    checked = PROVOKE[mistake](scene)
    cause, change = ROWS[mistake]
    said = [(step.name, one) for step in checked.steps for one in step.advice if one.mistake == mistake]
    assert any(says(cause, one.cause) and says(change, one.change) for _name, one in said), checked.lines
    # What stops a mail ends the walk there; and no other step has anything to do with it.
    assert not STOPS & set(checked.failed[:-1])
    assert set(checked.failed) <= {name for name, _one in said}, checked.lines


def test_the_table_names_all_mistakes_that_the_check_knows_and_no_others() -> None:
    assert len(ROWS) >= 25
    assert list(ROWS) == sorted(ROWS, key=list(ROWS).index)
    assert set(ROWS) == {rule.mistake for rule in TABLE} == set(PROVOKE)
