"""Records that interrupt the handler at work: from signal handlers, and from finalizers that a collection runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alertlog.testing import MailServer
from tests.programs import Site, told

STORM = """
import itertools, random

chance = random.Random(7)
fired = 0


def storm(react):
    def handle(*_):
        global fired
        fired += 1
        react()
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(20e-6, 200e-6))

    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 50e-6)


def calm():
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)


"""


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer("none") as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, server: MailServer) -> Site:
    return Site(tmp_path, server).unmeasured()


def test_thousands_of_signal_handlers_that_log_while_emit_runs_neither_deadlock_nor_lose_one(
    site: Site, server: MailServer
) -> None:
    program = """
listen()
storm(lambda: log.critical("Interrupted"))  # before there is anything: the first record sets all up
count = 0
while fired < 3_000:
    log.critical("Quota used up")
    log.critical("New trouble", extra={"alert": f"kind-{count % 7}"})
    count += 2
calm()
print(count + fired)
    """
    outcome = site.run(STORM + program)
    assert outcome.status == 0
    assert told(server.mails) == int(outcome.stdout)


def test_a_signal_handler_that_logs_while_somebody_flushes_or_closes_is_heard(site: Site, server: MailServer) -> None:
    program = """
listen(mails_per_hour=10_000)
log.critical("Quota used up")
storm(lambda: log.critical("Interrupted"))
handler = log.handlers[0]
for turn in range(20):
    handler.flush()
    handler.close()
calm()
print(1 + fired)
    """
    outcome = site.run(STORM + program)
    assert outcome.status == 0
    assert int(outcome.stdout) > 20
    assert told(server.mails) == int(outcome.stdout)


def test_a_signal_handler_that_flushes_in_the_middle_of_emit_does_not_wait_for_itself(
    site: Site, server: MailServer
) -> None:
    program = """
listen(mails_per_hour=10_000)
handler = log.handlers[0]
storm(handler.flush)
count = 0
while fired < 100:
    log.critical("Quota used up")
    log.critical("New trouble", extra={"alert": f"kind-{count % 7}"})
    count += 2
calm()
print(count)
    """
    outcome = site.run(STORM + program, SMTP_TIMEOUT_SECONDS="60")
    assert outcome.status == 0
    assert told(server.mails) == int(outcome.stdout)


def test_a_signal_handler_may_shut_logging_down_and_end_the_process_wherever_emit_is(
    site: Site, server: MailServer
) -> None:
    """The alert that was under way may be counted or not; nobody was told that it was accepted."""
    program = """
def end(*_):
    logging.shutdown()
    os._exit(count % 256)


listen()
count = 0
signal.signal(signal.SIGALRM, end)
signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.0007 * int(sys.argv[1]))
while count < 10_000_000:
    log.critical("Quota used up")
    count += 1
    """
    for number in range(8):
        before = told(server.mails)
        outcome = site.run(program, str(number))
        assert outcome.status >= 0
        assert (told(server.mails) - before - outcome.status) % 256 in (0, 1)
    assert not site.journals


def test_an_exception_that_a_signal_handler_raises_out_of_emit_does_not_stop_what_is_logged_later(
    site: Site, server: MailServer
) -> None:
    program = """
class Interruption(BaseException):
    pass


def interrupt(*_):
    raise Interruption


listen()
caught = 0
signal.signal(signal.SIGALRM, interrupt)
while caught < 500:
    try:
        signal.setitimer(signal.ITIMER_REAL, 50e-6 + caught * 1e-7)
        while True:
            log.critical("Quota used up")
    except Interruption:
        caught += 1
for _ in range(100):
    log.critical("Afterwards")
    """
    outcome = site.run(program)
    assert outcome.status == 0
    afterwards = [mail for mail in server.mails if "Afterwards" in mail.subject]
    assert told(afterwards) == 100 or told(server.mails) > 100


def test_an_error_that_an_alarm_raises_anywhere_in_emit_is_the_programs_and_no_alert_counts_twice(
    site: Site, server: MailServer
) -> None:
    program = """
def alarm(*_):
    raise TimeoutError


listen()
attempted = returned = caught = 0
signal.signal(signal.SIGALRM, alarm)
while caught < 500:
    try:
        signal.setitimer(signal.ITIMER_REAL, 50e-6 + caught * 1e-7)
        while True:
            attempted += 1
            log.critical("Quota used up", extra={"alert": f"quota {attempted % 7}"})
            returned += 1
    except TimeoutError:
        caught += 1
print(returned, attempted)
    """
    outcome = site.run(program)
    assert outcome.status == 0
    returned, attempted = map(int, outcome.stdout.split())
    assert returned <= told(server.mails) <= attempted


def test_a_thousand_records_that_interrupt_one_call_are_all_heard(site: Site, server: MailServer) -> None:
    program = """
        class Noisy:
            def __str__(self):
                for _ in range(1_000):
                    log.critical("From within")
                return "noisy"

        listen()
        log.critical("New trouble %s", Noisy())
    """
    assert site.run(program).status == 0
    assert told(server.mails) == 1_001


def test_finalizers_that_log_while_emit_runs_are_heard(site: Site, server: MailServer) -> None:
    program = """
        class Resource:
            def __init__(self):
                self.cycle = self

            def __del__(self):
                global lost
                lost += threading.current_thread() is threading.main_thread()  # not the courier, whose are no alerts
                log.critical("Never closed")

        lost = 0
        listen()
        gc.set_threshold(1)
        for number in range(1_000):
            Resource()
            log.critical("New trouble %s", [number], extra={"alert": f"kind-{number % 7}"})
        gc.set_threshold(0)
        gc.collect()
        print(1_000 + lost)
    """
    outcome = site.run(program)
    assert outcome.status == 0
    assert int(outcome.stdout) > 1_500
    assert told(server.mails) == int(outcome.stdout)
