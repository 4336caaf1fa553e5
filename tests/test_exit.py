"""How programs end: what goes out before they are gone, what stays for the next one, and how long they take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alertlog.testing import MailServer
from tests.programs import Outcome, Site, fingerprints, told
from tests.servers import ScriptedServer, silence

MARGIN = 8.0
"""Seconds that a program may take beside what it waits for, on a busy machine."""

TWENTY = """
listen()
for letter in "abcdefghijklmnopqrst":
    log.critical(f"Trouble {letter}")
"""

AFTER_SHUTDOWN = """
import atexit

# Called in reverse order: what is registered first comes after `logging.shutdown`.
atexit.unregister(logging.shutdown)
atexit.register(lambda: late())
atexit.register(logging.shutdown)
"""


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer("none") as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, server: MailServer) -> Site:
    return Site(tmp_path, server)


def whole(outcome: Outcome) -> list[str]:
    """The messages of the alerts that a program's events carry."""
    return [event["alert"]["message"] for event in outcome.events if "alert" in event]


def next_process(site: Site, beginning: str = "listen()\n") -> None:
    """Another program with the same outbox, that has nothing to say of its own."""
    assert site.run(f"{beginning}log.info('Started')\n").status == 0


# A normal exit


def test_twenty_alerts_right_before_the_end_are_delivered_before_the_process_is_gone(
    site: Site, server: MailServer
) -> None:
    outcome = site.run(TWENTY)
    assert outcome.status == 0
    assert outcome.seconds < 10 + MARGIN
    assert told(server.mails) == 20
    assert len(set(fingerprints(server.mails))) == 20


def test_a_server_that_is_down_holds_no_exit_and_the_next_process_sends(site: Site, server: MailServer) -> None:
    server.stop()
    outcome = site.run(TWENTY)
    assert outcome.status == 0
    assert outcome.seconds < MARGIN
    assert outcome.names.count("smtp_send_failed") >= 1
    assert whole(outcome)
    with MailServer("none") as later:  # at another port: the old one is left alone for some seconds
        assert site.run("listen()\nlog.info('Started')\n", SMTP_PORT=str(later.port)).status == 0
        assert told(later.mails) == 20
        assert len(set(fingerprints(later.mails))) == 20


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [("shutdown_timeout=1", {}), ("", {"SMTP_TIMEOUT_SECONDS": "1"}), ("shutdown_timeout=0", {})],
    ids=["argument", "variable", "zero"],
)
def test_a_server_that_says_nothing_holds_an_exit_for_the_given_time_at_most(
    site: Site, server: MailServer, arguments: str, environ: dict[str, str]
) -> None:
    with ScriptedServer({"greeting": silence}) as mute:
        outcome = Site(site.folder, mute).run(f"listen({arguments})\nlog.critical('Disk full')\n", **environ)
    assert outcome.status == 0
    assert outcome.seconds < 1 + MARGIN
    assert set(outcome.names) <= {"incident_opened", "smtp_send_failed"}
    if "shutdown_timeout=0" not in arguments:
        assert "Disk full" in whole(outcome)
    next_process(site)
    assert told(server.mails) == 1


def test_with_nothing_to_send_a_program_ends_at_once_and_leaves_no_file(site: Site) -> None:
    with ScriptedServer({"greeting": silence}) as mute:
        outcome = Site(site.folder, mute).run("listen()\nlog.error('Not an alert')\n")
        assert not mute.steps
    assert (outcome.status, outcome.stderr) == (0, "")
    assert outcome.seconds < MARGIN
    assert not site.outbox.parent.exists()


# What is logged late


def test_what_is_logged_by_an_atexit_function_before_logging_shuts_down_is_an_alert_like_any(
    site: Site, server: MailServer
) -> None:
    program = """
        import atexit

        listen()
        log.info("Started")
        atexit.register(lambda: [log.critical("Late") for _ in range(10)])
    """
    assert site.run(program).status == 0
    assert told(server.mails) == 10


@pytest.mark.parametrize("early", ["log.critical('Early')", "log.critical('Late')", "log.info('Started')", ""])
def test_what_is_logged_after_logging_has_shut_down_is_kept_for_the_next_process_and_counted(
    site: Site, server: MailServer, early: str
) -> None:
    """Some Pythons give no thread any more by then (3.12), others do, but the process is gone before it has sent."""
    late = "def late():\n    for _ in range(10):\n        log.critical('Late')\n"
    outcome = site.run(f"{AFTER_SHUTDOWN}\n{late}\nlisten()\n{early}\n")
    assert outcome.status == 0
    next_process(site)
    assert told(server.mails) == 10 + ("critical" in early)
    assert not site.journals


@pytest.mark.parametrize("early", ["log.critical('Early')", "log.info('Started')", ""])
def test_an_alert_from_a_finalizer_at_the_very_end_neither_hangs_nor_is_lost(
    site: Site, server: MailServer, early: str
) -> None:
    """By then Python 3.11 hands out threads that never run, and waits for them."""
    program = """
        import builtins

        class Resource:
            def __init__(self):
                self.log = log

            def __del__(self):
                for _ in range(10):
                    self.log.critical("Never closed")

        builtins.resource = Resource()
        listen()
    """
    outcome = site.run(program + f"\n        {early}\n")
    assert outcome.status == 0
    assert outcome.names.count("smtp_send_failed") == 10
    assert set(whole(outcome)) == {"Never closed"}
    next_process(site)
    assert told(server.mails) == 10 + ("critical" in early)


def test_a_daemon_thread_that_stops_wherever_it_is_leaves_no_lock_behind_that_an_exit_waits_for(
    site: Site, server: MailServer
) -> None:
    program = """
        import builtins

        class Resource:
            def __init__(self):
                self.log = log

            def __del__(self):
                for _ in range(300):
                    self.log.critical("Quota used up")

        def work():
            while True:
                log.critical("Quota used up")

        builtins.resource = Resource()
        listen()
        log.critical("Quota used up")
        threading.Thread(target=work, daemon=True).start()
        until = time.monotonic() + 0.05 * int(sys.argv[1])
        while time.monotonic() < until:
            log.critical("Quota used up")
    """
    site.unmeasured()  # coverage saves what it has at the end, which takes long beside a thread that never rests
    for number in range(2):
        outcome = site.run(program, str(number))
        assert outcome.status == 0
        assert outcome.seconds < 10 + MARGIN
    next_process(site)
    assert told(server.mails) > 600


def test_a_thread_that_outlives_the_main_thread_is_heard(site: Site, server: MailServer) -> None:
    program = """
        def work():
            threading.main_thread().join()
            log.critical("Late")

        listen()
        log.info("Started")
        threading.Thread(target=work).start()
    """
    assert site.run(program).status == 0
    assert told(server.mails) == 1


def test_a_handler_works_again_after_its_close_and_counts_exactly(site: Site, server: MailServer) -> None:
    program = """
        listen()
        for _ in range(3):
            for _ in range(10):
                log.critical("Disk full")
            log.handlers[0].close()
        log.critical("Disk full")
        log.critical("Disk full")
        os._exit(0)  # nobody closes any more
    """
    assert site.run(program).status == 0
    next_process(site)
    assert told(server.mails) == 32


# A second dictConfig, which closes what the first one made while it holds the lock of `logging`


CONFIGURE = """
def configure(**more):
    logging.config.dictConfig({
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"alerts": {"class": "alertlog.AlertHandler", **more}},
        "root": {"handlers": ["alerts"]},
    })


configure()
"""


def test_what_is_pending_at_a_second_configuration_is_neither_lost_nor_told_twice(
    site: Site, server: MailServer
) -> None:
    """The courier then imports python-dotenv, which asks for a logger, and so for the lock that it is awaited under."""
    program = """
        for number in range(5):
            log.critical("Trouble " + "x" * number)
            log.critical("Trouble " + "x" * number)
            started = time.monotonic()
            configure()
            print(time.monotonic() - started)
        log.critical("At last")
    """
    outcome = site.run(CONFIGURE + "if True:" + program)
    assert outcome.status == 0
    assert all(float(seconds) < MARGIN for seconds in outcome.stdout.split())
    assert told(server.mails) == 11
    assert len(set(fingerprints(server.mails))) == 6


def test_a_second_configuration_waits_for_nobody_whatever_the_courier_is_doing(site: Site, server: MailServer) -> None:
    """The courier may be amid an import that asks for a logger, while the configuration holds the lock for that."""
    program = """
log.critical("Before")
time.sleep(float(sys.argv[1]))
started = time.monotonic()
configure()
print(time.monotonic() - started)
log.critical("After")
    """
    for number, delay in enumerate(("0", "0.1", "0.2", "0.25", "0.3"), start=1):
        outcome = site.run(CONFIGURE + program, delay)
        assert outcome.status == 0
        assert float(outcome.stdout) < 3
        next_process(site, CONFIGURE)
        assert told(server.mails) == 2 * number


def test_what_a_configuration_left_to_the_courier_is_named_if_the_process_goes_first(
    site: Site, server: MailServer
) -> None:
    program = """
configure(shutdown_timeout=1)
log.critical("Before")
while not logging.getLogger().handlers[0].works.courier.under_way():
    time.sleep(0.01)
for _ in range(3):
    configure(shutdown_timeout=1)
child = os.fork()
if child == 0:
    sys.exit()  # and does not wait for what is its parent's
os.waitpid(child, 0)
    """
    with ScriptedServer({"greeting": silence}) as mute:
        outcome = Site(site.folder, mute).run(CONFIGURE + program)
    assert outcome.status == 0
    assert outcome.seconds < 2 + MARGIN
    assert "Before" in whole(outcome)
    next_process(site, CONFIGURE)
    assert told(server.mails) == 1


def test_a_flush_and_the_close_right_after_it_wait_no_longer_together_than_one_of_them_may(
    site: Site,
) -> None:
    program = """
        listen(shutdown_timeout=3)
        log.critical("Disk full")
        started = time.monotonic()
        logging.shutdown()
        print(time.monotonic() - started)
        os._exit(0)
    """
    with ScriptedServer({"greeting": silence}) as mute:
        outcome = Site(site.folder, mute).run(program)
    assert 3 <= float(outcome.stdout) < 5


def test_a_second_configuration_waits_for_a_mute_server_no_longer_than_an_exit_does(
    site: Site, server: MailServer
) -> None:
    program = """
configure(shutdown_timeout=1)
log.critical("Before")
configure(shutdown_timeout=1)
log.critical("After")
    """
    with ScriptedServer({"greeting": silence}) as mute:
        outcome = Site(site.folder, mute).run(CONFIGURE + program)
    assert outcome.status == 0
    assert outcome.seconds < 2 + MARGIN
    next_process(site, CONFIGURE)
    assert told(server.mails) == 2


def test_threads_that_log_during_configurations_deadlock_with_nobody_and_lose_nothing(
    site: Site, server: MailServer
) -> None:
    program = """
counts = []
stop = threading.Event()


def work():
    count = 0
    while not stop.is_set():
        log.critical("Quota used up")
        count += 1
    counts.append(count)


threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(3):
    configure()
stop.set()
for thread in threads:
    thread.join()
print(sum(counts))
    """
    outcome = site.run(CONFIGURE + program)
    assert outcome.status == 0
    next_process(site, CONFIGURE)
    # A record finds no handler in the moment between the old one's end and the new one's.
    assert 0 < told(server.mails) <= int(outcome.stdout)
    assert not site.journals


def test_events_still_come_to_stderr_where_a_configuration_disables_the_logger_they_go_to(
    site: Site, server: MailServer
) -> None:
    program = """
        import alertlog

        logging.getLogger("alertlog").addHandler(logging.StreamHandler(sys.stdout))
        logging.config.dictConfig({
            "version": 1,
            "disable_existing_loggers": True,
            "handlers": {"alerts": {"class": "alertlog.AlertHandler"}},
            "loggers": {"etl": {"handlers": ["alerts"]}},
        })
        assert logging.getLogger("alertlog").disabled
        log.critical("Disk full")
    """
    outcome = site.run(program)
    assert outcome.names == ["incident_opened", "smtp_send_succeeded"]
    assert outcome.stdout == ""
    assert told(server.mails) == 1


def test_a_signal_that_ends_the_program_as_the_courier_starts_leaves_it_to_be_started_again(
    site: Site, server: MailServer
) -> None:
    program = """
        real = threading.Thread.start

        def interrupted(self):
            if self.name == "alertlog-courier":
                threading.Thread.start = real
                die(signal.SIGTERM)
            real(self)

        def stop(*_):
            sys.exit(0)

        signal.signal(signal.SIGTERM, stop)
        listen()
        threading.Thread.start = interrupted
        try:
            log.critical("Quota used up")
        except SystemExit:
            log.critical("Going down", extra={"alert": "end"})
    """
    outcome = site.run(program)
    assert outcome.status == 0
    assert [str(mail.message["X-Alertlog-Kind"]) for mail in server.mails] == ["end"]  # the first call never returned
