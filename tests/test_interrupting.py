"""Records that wait for their turn: in what order they are taken, how many, and by whom."""

from __future__ import annotations

import logging
import os

import pytest

from alertlog.interrupting import INTERRUPTING_LIMIT, Here, Interrupting
from tests.support import record


@pytest.fixture
def here() -> Here:
    return Here()


@pytest.fixture
def interrupting(here: Here) -> Interrupting:
    return Interrupting(here)


def test_records_are_taken_in_the_order_in_which_they_came(interrupting: Interrupting) -> None:
    made = [record(str(number)) for number in range(3 * INTERRUPTING_LIMIT)]
    for each in made:
        interrupting.add(each)
    taken: list[logging.LogRecord] = []
    interrupting.take(taken.append)
    assert taken == made
    assert not interrupting.waiting


def test_records_that_each_bring_another_one_do_not_hold_a_call_for_ever_and_none_is_lost(
    interrupting: Interrupting,
) -> None:
    taken: list[logging.LogRecord] = []

    def work(each: logging.LogRecord) -> None:
        taken.append(each)
        interrupting.add(record())

    interrupting.add(record())
    interrupting.take(work)
    assert len(taken) == 1 + INTERRUPTING_LIMIT
    assert len(interrupting.waiting) == 1


def test_what_came_in_a_parent_process_is_not_the_childs_to_take(interrupting: Interrupting) -> None:
    interrupting.waiting.append((os.getppid(), record("the parent's"), False))
    interrupting.add(record("the child's"))
    taken: list[str] = []
    interrupting.take(lambda each: taken.append(each.getMessage()))
    assert taken == ["the child's"]


def test_what_a_method_of_the_programs_logs_is_taken_plainly_and_nothing_else_is(
    here: Here, interrupting: Interrupting
) -> None:
    here.asking = logging.Formatter().format
    interrupting.add(record("from within"))
    here.asking = None
    interrupting.add(record("from a signal handler"))
    taken: list[tuple[str, bool]] = []
    interrupting.take(lambda each: taken.append((each.getMessage(), here.plain)))
    assert taken == [("from within", True), ("from a signal handler", False)]
    assert not here.plain


def test_after_an_error_amid_the_work_the_others_wait_on_and_nothing_is_plain(
    here: Here, interrupting: Interrupting
) -> None:
    def work(_each: logging.LogRecord) -> None:
        raise KeyboardInterrupt

    here.asking = logging.Formatter().format
    for _ in range(2):
        interrupting.add(record())
    with pytest.raises(KeyboardInterrupt):
        interrupting.take(work)
    assert not here.plain
    assert len(interrupting.waiting) == 1
