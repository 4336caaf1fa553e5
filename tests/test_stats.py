"""handler.stats(): what became of a handler's alerts, for whoever watches it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from alertlog import AlertHandler
from alertlog.bounds import Bounds
from alertlog.stats import Counters, Stats
from alertlog.testing import MailServer
from tests.programs import Site
from tests.stories import HOUR, Story


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer("none") as running:
        yield running


@pytest.fixture
def log(tmp_path: Path) -> Iterator[tuple[logging.Logger, AlertHandler]]:
    logger, handler = logging.Logger("stats"), AlertHandler(outbox=tmp_path / "alerts.sqlite3")
    logger.addHandler(handler)
    yield logger, handler
    handler.close()


def set_server(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environ().items():
        monkeypatch.setenv(name, value)


def counted(story: Story) -> Stats:
    assert story.rounds is not None
    return story.rounds._counters.stats()


def test_a_handler_that_has_done_nothing_says_so_and_stays_as_it_is() -> None:
    handler = AlertHandler()
    assert handler.stats() == Stats(0, 0, 0, 0, 0, None)
    with pytest.raises(FrozenInstanceError):
        handler.stats().sent = 1  # type: ignore[misc]
    handler.close()


def test_a_mail_that_is_accepted_is_counted_with_its_time_and_what_was_taken_out(
    server: MailServer, log: tuple[logging.Logger, AlertHandler], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger, handler = log
    set_server(server, monkeypatch)
    monkeypatch.setenv("API_TOKEN", "s3cret-of-the-api")
    logger.critical("refused: s3cret-of-the-api", extra={"with": "s3cret-of-the-api", "url": "https://u:p4ss@x.org"})
    assert handler.stats().last_success is None
    handler.flush()
    stats = handler.stats()
    assert (stats.sent, stats.failed, stats.waiting, stats.redacted) == (1, 0, 0, 3)
    assert stats.last_success is not None
    assert stats.last_success > 1_767_225_600


def test_what_waits_for_a_server_is_counted_until_it_is_sent(server: MailServer, tmp_path: Path) -> None:
    story = Story(tmp_path / "alerts.sqlite3", server)
    server.stop()
    for disk in "ab":
        story.alert(f"Disk {disk} full", times=2)
        story.work()
    assert (counted(story).sent, counted(story).waiting) == (0, 4)
    server.start()
    story.work(after=HOUR)
    assert (counted(story).sent, counted(story).waiting) == (1, 0)


def test_each_kind_of_failure_is_one(server: MailServer, tmp_path: Path) -> None:
    story = Story(tmp_path / "alerts.sqlite3", server)
    for name, reply in (("Later", "451 4.3.0 later"), ("Aside", "554 5.7.1 spam")):
        server.data_reply = reply
        story.alert(name)
        story.work()
    assert (counted(story).sent, counted(story).failed) == (0, 2)
    server.stop()  # the way to the server, for whatever waits
    story.alert("Disk full")
    story.work(after=1)
    assert (counted(story).sent, counted(story).failed) == (0, 3)
    assert counted(story).waiting == 2  # what is set aside waits for nobody


def test_what_is_counted_together_is_told(server: MailServer, tmp_path: Path) -> None:
    story = Story(tmp_path / "alerts.sqlite3", server)
    story.bounds = Bounds(incidents=10)
    server.stop()
    for number in range(15):
        story.alert(f"Trouble{number}")
    story.work()
    assert (counted(story).folded, counted(story).waiting) == (5, 15)


def test_where_another_process_has_the_outbox_that_one_counts_what_waits(server: MailServer, tmp_path: Path) -> None:
    first, second = Story(tmp_path / "alerts.sqlite3", server), Story(tmp_path / "alerts.sqlite3", server)
    server.stop()
    first.alert("Disk a full")
    first.work()
    second.alert("Disk b full")
    second.work()
    first.work()
    assert (counted(first).waiting, counted(second).waiting) == (2, 0)


def test_a_forked_child_counts_for_itself(tmp_path: Path, server: MailServer) -> None:
    program = """
        listen(outbox=sys.argv[1])
        (handler,) = log.handlers
        log.critical("Disk a full")
        handler.flush()
        pid = os.fork()
        if not pid:
            before = handler.stats().sent
            log.critical("Disk b full")
            handler.flush()
            print("child", before, handler.stats().sent, flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        print("parent", handler.stats().sent)
    """
    outcome = Site(tmp_path, server).unmeasured().run(program, str(tmp_path / "alerts.sqlite3"))
    assert outcome.stdout.splitlines()[-1] == "parent 1"
    assert outcome.stdout.splitlines()[0].startswith("child 0 ")


def test_counters_of_another_process_are_none() -> None:
    counters = Counters()
    counters.failed = 3
    child = os.fork()
    if not child:  # pragma: no cover - it ends without a word
        os._exit(counters.stats() != Stats())
    assert os.waitpid(child, 0)[1] == 0
    assert counters.stats().failed == 3
