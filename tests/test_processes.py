"""Real processes that are killed, that count, and that share one outbox."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from alertlog.testing import Mail, MailServer
from tests.programs import PATIENCE, Site, fingerprints, told, wait_until_told
from tests.servers import ScriptedServer, silence

KILLS = 50


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer("none") as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, server: MailServer) -> Site:
    return Site(tmp_path, server)


def openings(mails: list[Mail]) -> int:
    """How many of the mails answer no earlier one."""
    return sum(mail.message["In-Reply-To"] is None for mail in mails)


def reach(process: subprocess.Popen[str], line: str) -> None:
    """Wait until a program has printed this line."""
    assert process.stdout is not None
    assert process.stdout.readline() == line + "\n"


def go_on(process: subprocess.Popen[str]) -> None:
    """Let a program go on that waits at `sys.stdin.readline()`."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


# Killed


@pytest.mark.parametrize(
    ("end", "status"), [("die()", -9), ("die(signal.SIGTERM)", -15), ("os._exit(3)", 3)], ids=["KILL", "TERM", "_exit"]
)
def test_an_alert_outlives_a_process_that_ends_right_after_the_call(
    site: Site, server: MailServer, end: str, status: int
) -> None:
    outcome = site.run(f"listen()\nlog.critical('Disk full')\n{end}\n")
    assert outcome.status == status
    assert not server.mails
    assert len(site.journals) == 1
    following = site.run("listen()\nlog.debug('Started')\n")
    assert (following.status, following.names) == (0, ["incident_opened", "smtp_send_succeeded"])
    assert [mail.subject for mail in server.mails] == ["[etl] CRITICAL: Disk full"]
    assert not site.journals
    assert site.run("listen()\nlog.debug('Started')\n").stderr == ""
    assert told(server.mails) == 1


def test_the_first_record_of_any_level_wakes_the_courier_for_what_an_earlier_process_left(
    site: Site, server: MailServer
) -> None:
    site.run("listen()\nlog.critical('Disk full')\ndie()\n")
    with site.running("listen()\nlog.debug('Started')\nsys.stdin.read()\n"):
        (mail,) = server.wait_for(1)
    assert "Disk full" in mail.text


def test_of_alerts_whose_processes_are_killed_at_once_none_is_lost_and_none_told_twice(
    site: Site, server: MailServer
) -> None:
    site.run(
        """
        for number in range(int(sys.argv[1])):
            child = os.fork()
            if child == 0:
                listen()
                log.critical("Call %d", number, extra={"alert": f"kill-{number}"})
                die()
            os.waitpid(child, 0)
        """,
        str(KILLS),
    )
    assert len(site.journals) == KILLS
    assert site.run("listen()\nlog.info('Started')\n").status == 0
    assert told(server.mails) == KILLS
    assert len(set(fingerprints(server.mails))) == len(fingerprints(server.mails)) == KILLS


@pytest.mark.parametrize("step", ["greeting", "MAIL", "DATA", "dot"])
def test_a_process_killed_while_it_sends_costs_nothing_and_a_copy_has_the_same_message_id(
    site: Site, server: MailServer, step: str
) -> None:
    with ScriptedServer({step: silence}) as stuck:
        there = Site(site.folder, stuck)
        with there.running("listen()\nlog.critical('Disk full')\nsys.stdin.read()\n") as process:
            stuck.wait_for(step)
            process.kill()
    site.run("listen()\nlog.info('Started')\n")
    (mail,) = server.mails
    assert told(server.mails) == 1
    assert all(str(mail.message["Message-ID"]).encode() in content for content in stuck.contents)


def test_a_process_killed_as_its_mail_is_accepted_leaves_at_most_a_copy(site: Site, server: MailServer) -> None:
    for number in range(1, 4):
        with site.running("listen()\nlog.critical(sys.argv[1])\nsys.stdin.read()\n", "Disk full: " + "x" * number):
            wait_until_told(server, number)
    site.run("listen()\nlog.info('Started')\n")
    assert told(server.mails) == 3


def test_a_killed_process_leaves_a_journal_of_any_length_and_all_of_it_is_read(site: Site, server: MailServer) -> None:
    """A courier reads 16 MiB of one journal in a go."""
    program = """
        listen()
        for number in range(60):
            log.critical("%s", chr(233) * 65_000, extra={"alert": f"kind-{number}"})
        die()
    """
    site.run(program)
    assert sum(path.stat().st_size for path in site.journals) > 20 * 1024 * 1024
    site.run("listen()\nlog.info('Started')\nlogging.shutdown()\nlog.info('Again')\n")
    site.run("listen()\nlog.info('Started')\n")
    assert told(server.mails) == 60
    assert not site.journals


def test_a_kill_costs_the_repeats_of_the_last_second_and_no_others(site: Site, server: MailServer) -> None:
    program = """
        listen()
        log.critical("Disk full")
        for _ in range(999):
            log.critical("Disk full")
        journal = log.handlers[0].works.intake.journal
        until = time.monotonic() + 30
        size = journal.size
        while journal.size == size and time.monotonic() < until:
            threading.Event().wait(0.01)
        for _ in range(500):
            log.critical("Disk full")
        die()
    """
    site.run(program)
    site.run("listen()\nlog.info('Started')\n")
    assert 1_000 <= told(server.mails) <= 1_500


# Counted


def test_a_hundred_thousand_repeats_are_two_mails_at_most_whose_counts_are_exact(
    site: Site, server: MailServer
) -> None:
    outcome = site.run("listen()\nfor number in range(100_000): log.critical('Quota used up: %d', number)\n")
    assert outcome.status == 0
    assert 1 <= len(server.mails) <= 2
    assert told(server.mails) == 100_000


def test_counts_are_exact_from_eight_threads_that_change_at_every_turn(site: Site, server: MailServer) -> None:
    program = """
        sys.setswitchinterval(1e-5)
        listen()
        together = threading.Barrier(8)

        def work():
            together.wait()
            for number in range(2_500):
                log.critical("Quota used up: %d", number)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    """
    assert site.run(program).status == 0
    assert len(server.mails) <= 2
    assert told(server.mails) == 20_000


# Several on one outbox


@pytest.mark.parametrize("repeats", [1, 100])
def test_eight_processes_with_one_trouble_open_one_incident_and_count_it_exactly(
    site: Site, server: MailServer, repeats: int
) -> None:
    """They also end at the same time: each could take another for the last one, which tells what is untold."""
    program = """
        listen()
        for _ in range(2):
            for number in range(int(sys.argv[1])):
                log.critical("Quota used up: %d", number)
            print("counted", flush=True)
            sys.stdin.readline()
    """
    with ExitStack() as stack:
        processes = [stack.enter_context(site.running(program, str(repeats))) for _ in range(8)]
        for _ in range(2):
            for process in processes:
                reach(process, "counted")
            for process in processes:
                go_on(process)
        assert [process.wait(PATIENCE) for process in processes] == [0] * 8
    assert told(server.mails) == 16 * repeats
    assert openings(server.mails) == 1
    assert not site.journals


def test_one_process_sends_for_all_and_when_it_is_killed_another_takes_over(site: Site, server: MailServer) -> None:
    program = """
        listen()
        while text := sys.stdin.readline().strip():
            log.critical(text)
            print(text, flush=True)
    """
    with site.running(program) as first, site.running(program) as second:
        assert first.stdin is not None
        assert second.stdin is not None
        for process, text in ((first, "Disk full"), (second, "Quota used up")):
            print(text, file=process.stdin, flush=True)
            reach(process, text)
            server.wait_for(len(server.mails) + 1)
        first.kill()
        first.wait(PATIENCE)
        print("Prices are missing", file=second.stdin, flush=True)
        server.wait_for(3)
        go_on(second)
        assert second.wait(PATIENCE) == 0
    assert told(server.mails) == 3
    assert len({mail.message["Message-ID"] for mail in server.mails}) == 3  # the kill may have cost a copy


def test_two_services_on_one_outbox_send_each_their_own(site: Site, server: MailServer) -> None:
    program = (
        "listen(service=sys.argv[1])\nlog.critical('Disk full')\nprint('there', flush=True)\nsys.stdin.readline()\n"
    )
    with site.running(program, "shop") as shop, site.running(program, "bank") as bank:
        reach(shop, "there")
        reach(bank, "there")
        server.wait_for(2)
        for process in (shop, bank):
            go_on(process)
            assert process.wait(PATIENCE) == 0
    assert sorted(str(mail.message["X-Alertlog-Service"]) for mail in server.mails) == ["bank", "shop"]
    assert told(server.mails) == 2


def test_two_handlers_of_different_names_on_one_outbox_mail_each_for_itself(site: Site, server: MailServer) -> None:
    program = """
        for name in ("people", "machines"):
            handler = AlertHandler(subject=f"[{name}] {{message}}")
            handler.set_name(name)
            log.addHandler(handler)
        log.critical("Disk full")
    """
    assert site.run(program).status == 0
    assert sorted(mail.subject for mail in server.mails) == ["[machines] Disk full", "[people] Disk full"]


def test_two_handlers_of_one_name_on_one_outbox_are_one_and_nothing_is_lost_between_them(
    site: Site, server: MailServer
) -> None:
    program = """
        listen()
        listen()
        for _ in range(10):
            log.critical("Disk full")
    """
    assert site.run(program).status == 0
    assert openings(server.mails) == 1
    assert told(server.mails) == 20
    assert not site.journals


def test_repeats_are_written_down_within_a_second_while_a_mute_server_holds_the_courier(tmp_path: Path) -> None:
    program = """\
        listen()
        log.critical("Disk full")
        handler = log.handlers[0]
        while not handler.works.courier.under_way():
            threading.Event().wait(0.01)
        for _ in range(1_000):
            log.critical("Disk full")
        journal = handler.works.intake.journal
        size = journal.end
        while journal.end == size:
            threading.Event().wait(0.01)
        die()
    """
    with ScriptedServer({"greeting": silence}) as mute:
        assert Site(tmp_path, mute).run(program).status == -9
    with MailServer("none") as server:
        assert Site(tmp_path, server).run("listen()\nlog.debug('Started')\n").status == 0
        assert told(server.mails) == 1_001


# A long backlog


LEAVES_A_BACKLOG = """
import pathlib
from alertlog.clock import SystemClock
from alertlog.intake import Intake
from alertlog.ownership import Owner
from tests.support import some_alert

intake = Intake(pathlib.Path(os.environ["ALERTLOG_OUTBOX"]), Owner("etl", "alerts"), SystemClock(), print)
for number in range(30_000):
    intake.add(some_alert(f"{number} full"))
die()
"""


def test_a_process_that_forks_while_its_courier_reads_a_long_backlog_waits_for_a_piece_of_it_only(
    site: Site, server: MailServer
) -> None:
    site.unmeasured().run(LEAVES_A_BACKLOG)
    (journal,) = site.journals
    outcome = site.run(
        """
        listen()
        log.debug("Started")
        forks, longest = 0, 0.0
        while os.path.exists(sys.argv[1]):
            began = time.monotonic()
            child = os.fork()
            if child == 0:
                os._exit(0)
            longest = max(longest, time.monotonic() - began)
            os.waitpid(child, 0)
            forks += 1
        print(forks > 10, longest < 5)
        log.critical("All is read")
        """,
        str(journal),
    )
    assert (outcome.status, outcome.stdout) == (0, "True True\n")
    assert told(server.mails) == 30_001
    assert not site.journals


# A flood


def test_of_a_flood_while_a_mute_server_holds_the_courier_the_journals_stay_bounded_and_the_counts_exact(
    site: Site, server: MailServer
) -> None:
    with ScriptedServer({"greeting": silence}) as mute:
        there = Site(site.folder, mute, SMTP_TIMEOUT_SECONDS="300").unmeasured()
        outcome = there.run(
            """
            import pathlib
            from alertlog.crowd import CROWD

            def size():
                folder = pathlib.Path(os.environ["ALERTLOG_OUTBOX"]).parent
                return sum(path.stat().st_size for path in folder.glob("*.journal"))

            listen(fingerprint=lambda record: record.getMessage(), shutdown_timeout=0.1)
            log.critical("The first one")
            while not log.handlers[0].works.courier.under_way():
                time.sleep(0.01)
            largest = 0
            for number in range(40_000):
                log.critical("Call %d failed %s", number, "x" * 600)
                if number % 500 == 0:
                    largest = max(largest, size())
            print(CROWD < largest < CROWD + 1_000_000)
            """
        )
        assert (outcome.status, outcome.stdout) == (0, "True\n")
    site.unmeasured().run("listen()\nlog.debug('Started')\n")
    assert told(server.mails) == 40_001
