"""Repeats: the first ones of an incident that say something new are taken whole, all others are only counted."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alertlog import AlertHandler
from alertlog.crowd import CROWD
from alertlog.intake import OPEN_FOR, Intake
from alertlog.repeats import LOOKS, TEXTS
from alertlog.testing import MailServer
from tests.programs import told
from tests.support import Taken, record, some_alert, tallies


class Counting:
    """A text that counts how often it is asked for."""

    def __init__(self, text: str = "SHOP.TO") -> None:
        self.text = text
        self.asked = 0

    def __str__(self) -> str:
        self.asked += 1
        return self.text


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with MailServer("none") as running:
        for name, value in running.environ().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def handler(server: MailServer, tmp_path: Path) -> Iterator[AlertHandler]:
    made = AlertHandler(service="etl", outbox=tmp_path / "alerts.sqlite3")
    yield made
    made.close()


@pytest.fixture
def log(handler: AlertHandler) -> logging.Logger:
    logger = logging.Logger("etl")
    logger.addHandler(handler)
    return logger


@pytest.fixture
def taken(tmp_path: Path) -> Taken:
    return Taken(tmp_path / "alerts.sqlite3")


def written(handler: AlertHandler) -> list[tuple[str, int]]:
    """What is in the handler's journal: messages, and how often each was raised."""
    handler.works.intake.write_counts()
    journal = handler.works.intake.journal
    assert journal is not None
    return [(tally.alert.message, tally.count) for tally in tallies(journal.path)]


def looked_at(intake: Intake, message: str) -> bool:
    """Whether a record with that message would be taken whole, beside the incident that is open."""
    known = intake.known(some_alert("price").fingerprint)
    return known is not None and known.looks > 0 and intake.differs(known, record(message))


def test_of_three_tickers_in_one_second_a_mail_shows_all(
    server: MailServer, handler: AlertHandler, log: logging.Logger
) -> None:
    for ticker in ("SHOP.TO", "ZZZ.TO", "ABC.TO"):
        log.critical("No price for %s", ticker)
    handler.close()
    text = "\n".join(mail.text for mail in server.mails)
    assert all(f"No price for {ticker}" in text for ticker in ("SHOP.TO", "ZZZ.TO", "ABC.TO"))
    assert told(server.mails) == 3


def test_so_many_repeats_that_differ_are_written_whole_and_all_others_counted(
    handler: AlertHandler, log: logging.Logger
) -> None:
    for number in range(100):
        log.critical("No price for %s", number)
    *whole, (last, counted) = written(handler)
    assert whole == [(f"No price for {number}", 1) for number in range(1 + TEXTS)]
    assert (last, counted) == (f"No price for {TEXTS}", 100 - 1 - TEXTS)


def test_repeats_with_the_same_text_are_counted_and_only_the_first_ones_are_compared(
    handler: AlertHandler, log: logging.Logger
) -> None:
    text = Counting()
    for _ in range(1_000):
        log.critical("No price for %s", text)
    assert written(handler) == [("No price for SHOP.TO", 1), ("No price for SHOP.TO", 999)]
    assert text.asked == 1_000 + LOOKS  # the context of later alerts asks once for each


def test_what_comes_after_many_of_the_same_is_counted_whatever_it_says(
    handler: AlertHandler, log: logging.Logger
) -> None:
    for text in ["SHOP.TO"] * (1 + LOOKS) + ["ZZZ.TO"]:
        log.critical("No price for %s", text)
    assert written(handler) == [("No price for SHOP.TO", 1), ("No price for SHOP.TO", LOOKS + 1)]


def test_exceptions_that_say_something_else_differ_though_the_message_is_the_same(
    server: MailServer, handler: AlertHandler, log: logging.Logger
) -> None:
    for ticker in ("SHOP.TO", "ZZZ.TO", "SHOP.TO"):
        try:
            raise LookupError(ticker)
        except LookupError:
            log.critical("No price", exc_info=True)
    assert written(handler) == [("No price", 1), ("No price", 1), ("No price", 1)]
    handler.close()
    text = "\n".join(mail.text for mail in server.mails)
    assert "LookupError: SHOP.TO" in text
    assert "LookupError: ZZZ.TO" in text


def test_a_text_with_a_secret_that_comes_again_and_again_is_taken_whole_once_more_at_most(
    handler: AlertHandler, log: logging.Logger
) -> None:
    for _ in range(50):
        log.critical("login failed, password=%s", "hunter2-hunter2")
    counts = [count for _message, count in written(handler)]
    assert (counts, sum(counts)) == ([1, 1, 48], 50)


def test_an_alert_at_a_higher_level_leaves_no_more_looks_than_there_were(taken: Taken) -> None:
    taken.log("price of 0", level=40)
    whole = [looked_at(taken.intake, f"price of {number}") for number in range(1, 4)]
    taken.log("price of 9", level=50)
    whole += [looked_at(taken.intake, f"price of {number}") for number in range(10, 20)]
    assert whole == [True] * TEXTS + [False] * (13 - TEXTS)


def test_an_incident_that_is_no_longer_open_here_is_compared_anew(taken: Taken) -> None:
    taken.log("price of 0")
    assert [looked_at(taken.intake, f"price of {number}") for number in range(LOOKS)].count(True) == TEXTS
    assert not looked_at(taken.intake, "price of another")
    taken.clock.advance(OPEN_FOR + 1)
    taken.log("price of 0")
    assert looked_at(taken.intake, "price of another")


def test_in_a_flood_that_nobody_reads_nothing_is_compared(taken: Taken) -> None:
    taken.log("price of 0")
    taken.intake.crowd.written = 2 * CROWD
    assert not looked_at(taken.intake, "price of another")
    taken.intake.crowd.failing = True
    assert looked_at(taken.intake, "price of another")


def test_a_repeat_whose_text_can_not_be_made_is_counted(handler: AlertHandler, log: logging.Logger) -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError("no text")

    for _ in range(3):
        log.critical("No price for %s", Broken())
    assert sum(count for _message, count in written(handler)) == 3


def test_an_alarm_that_raises_while_a_repeat_is_compared_is_the_programs_and_the_alert_counts_once(
    server: MailServer, handler: AlertHandler, log: logging.Logger
) -> None:
    def alarm(*_: Any) -> None:
        raise TimeoutError("the program's")

    class Raising(Counting):
        def __str__(self) -> str:
            if not self.asked:
                self.asked += 1
                signal.raise_signal(signal.SIGUSR1)
            return super().__str__()

    log.critical("No price for %s", "SHOP.TO")
    before = signal.signal(signal.SIGUSR1, alarm)
    try:
        with pytest.raises(TimeoutError, match="the program's"):
            log.critical("No price for %s", Raising())
    finally:
        signal.signal(signal.SIGUSR1, before)
    handler.close()
    assert told(server.mails) == 2
