"""Programs that fork: what a child inherits, what it must forget, and that neither side waits for ever."""

from __future__ import annotations

import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from alertlog.forks import ForkLock, UnitLock
from alertlog.testing import MailServer
from tests.conversation import Conversation
from tests.programs import PATIENCE, Site, told, wait_until_told
from tests.servers import ScriptedServer, then
from tests.sessions import eventually

FAMILY = """
def fork(work):
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # a child that hangs is killed by it
        work()
        os._exit(0)
    return child


def reap(*children):
    for child in children:
        status = os.waitpid(child, 0)[1]
        if status:
            print(f"child ended with {status}")


"""


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer("none") as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, server: MailServer) -> Site:
    return Site(tmp_path, server)


def go_on(process: subprocess.Popen[str]) -> None:
    """Let a program go on that waits at `sys.stdin.readline()`."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_child_that_ends_without_a_word_loses_no_alert_and_counts_nothing_that_was_its_parents(
    site: Site, server: MailServer
) -> None:
    program = """
def work():
    log.critical("Quota used up")
    log.critical("Disk full")


listen()
for _ in range(100):
    log.critical("Quota used up")  # most of them are only counted in memory when the child is made
reap(fork(work))
    """
    outcome = site.run(FAMILY + program)
    assert (outcome.status, outcome.stdout) == (0, "")
    assert told(server.mails) == 102
    assert {mail.subject for mail in server.mails} >= {"[etl] CRITICAL: Quota used up", "[etl] CRITICAL: Disk full"}


def test_children_of_a_program_that_set_logging_up_first_count_exactly(site: Site, server: MailServer) -> None:
    """As gunicorn does with `--preload`: the handler is used, and then workers are forked, which end normally."""
    program = """
listen()
log.critical("Quota used up")
for number in range(4):
    child = os.fork()
    if child == 0:
        for _ in range(500):
            log.critical("Quota used up")
        sys.exit(0)
for _ in range(4):
    assert os.wait()[1] == 0
    """
    assert site.run(program).status == 0
    assert told(server.mails) == 2_001
    assert not site.journals


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_count_exactly_though_they_end_without_logging_shutdown(
    site: Site, server: MailServer, method: str
) -> None:
    program = """
import multiprocessing


def work():
    if not log.handlers:
        listen()
    for _ in range(1_000):
        log.critical("Quota used up")


if __name__ == "__main__":
    listen()
    log.critical("Quota used up")
    context = multiprocessing.get_context(sys.argv[1])
    children = [context.Process(target=work) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0, child.exitcode
    """
    outcome = site.run(program, method)
    assert outcome.status == 0, outcome.stderr
    assert told(server.mails) == 3_001
    assert not site.journals


def test_a_child_of_multiprocessing_that_gave_its_handler_up_ends_well(site: Site, server: MailServer) -> None:
    program = """
import multiprocessing


def work():
    listen()
    log.critical("Quota used up")
    (handler,) = log.handlers
    log.removeHandler(handler)
    handler.close()
    del handler
    gc.collect()


if __name__ == "__main__":
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(60)
    assert child.exitcode == 0, child.exitcode
    """
    outcome = site.run(program)
    assert outcome.status == 0
    assert told(server.mails) == 1


def test_a_pool_of_processes_counts_exactly(site: Site, server: MailServer) -> None:
    program = """
from concurrent.futures import ProcessPoolExecutor


def work(_):
    for _ in range(100):
        log.critical("Quota used up")


if __name__ == "__main__":
    listen()
    log.critical("Quota used up")
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(work, range(20)))
    """
    # The pool forks, where that is the default, or else starts anew without a handler.
    outcome = site.run("import multiprocessing\nmultiprocessing.set_start_method('fork', force=True)\n" + program)
    assert outcome.status == 0, outcome.stderr
    assert told(server.mails) == 2_001


def test_a_child_of_a_child_is_as_good_as_any(site: Site, server: MailServer) -> None:
    program = """
def grandchild():
    for _ in range(10):
        log.critical("Quota used up")
    logging.shutdown()


def child():
    log.critical("Quota used up")
    reap(fork(grandchild))
    log.critical("Quota used up")
    logging.shutdown()


listen()
log.critical("Quota used up")
reap(fork(child))
log.critical("Quota used up")
    """
    outcome = site.run(FAMILY + program)
    assert (outcome.status, outcome.stdout) == (0, "")
    assert told(server.mails) == 14


def test_a_child_sends_nothing_while_its_parent_lives_and_all_when_that_is_gone(site: Site, server: MailServer) -> None:
    program = """
def child():
    events = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(events, 2)
    os.dup2(events, 1)
    signal.alarm(60)
    log.critical("From the child")
    sys.stdin.readline()
    log.critical("From an orphan")
    logging.shutdown()


listen()
log.critical("From the parent")
log.handlers[0].flush()
fork(child)
sys.stdin.readline()
die()
    """
    events = site.folder / "child"
    with site.running(FAMILY + program, str(events)) as process:
        server.wait_for(2)
        assert "smtp_send_succeeded" not in events.read_text()
        go_on(process)
        process.wait(PATIENCE)
        go_on(process)
        wait_until_told(server, 3)
    assert "From an orphan" in events.read_text()
    assert told(server.mails) == 3


def test_a_fork_in_the_middle_of_a_delivery_hangs_nobody_and_doubles_nothing(site: Site, server: MailServer) -> None:
    """The courier is waiting for the reply to the dot, with the outbox's connection open."""
    forked = threading.Event()

    def wait(conversation: Conversation) -> None:
        while not forked.is_set():
            conversation.wait(0.01)

    program = """
def child():
    log.critical("From the child")
    logging.shutdown()


listen()
log.critical("From the parent")
sys.stdin.readline()
reap(fork(child))
print("forked", flush=True)
sys.stdin.readline()
    """
    with (
        ScriptedServer({"dot": [then(wait, "250 2.0.0 ok"), "250 2.0.0 ok"]}) as slow,
        Site(site.folder, slow).running(FAMILY + program) as process,
    ):
        slow.wait_for("dot")
        go_on(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "forked\n"
        forked.set()
        slow.wait_for("dot", 2)
        go_on(process)
        assert process.wait(PATIENCE) == 0
    assert sorted(b"From the child" in content for content in slow.contents) == [False, True]
    site.run("listen()\nlog.info('Started')\n")
    assert not server.mails


def test_forks_while_the_courier_waits_for_a_busy_database_hang_nobody_and_lose_nothing(
    site: Site, server: MailServer
) -> None:
    program = """
def child():
    log.critical("From a child")


listen()
log.critical("From the parent")
log.handlers[0].flush()
print("there", flush=True)
sys.stdin.readline()
log.critical("Again")
reap(*[fork(child) for _ in range(20)])
print("forked", flush=True)
    """
    with site.unmeasured().running(FAMILY + program) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        with closing(sqlite3.connect(site.outbox, isolation_level=None)) as busy:
            busy.execute("BEGIN EXCLUSIVE")
            go_on(process)
            assert process.stdout.readline() == "forked\n"
            busy.execute("ROLLBACK")
        assert process.wait(PATIENCE) == 0
    site.run("listen()\nlog.info('Started')\n")
    assert told(server.mails) == 22


@pytest.mark.parametrize(
    "module", ["alertlog.rounds", "sqlite3", "pythonjsonlogger", "environs", "dotenv.main", "jinja2", "smtplib"]
)
def test_a_fork_while_the_courier_imports_what_it_needs_leaves_a_child_that_can_import_it(
    site: Site, server: MailServer, module: str
) -> None:
    """A module that another thread was importing at the fork can never be imported in the child."""
    program = """
def child():
    __import__(sys.argv[1])
    log.critical("From the child")
    logging.shutdown()


sys.setswitchinterval(1e-6)
listen()
log.critical("From the parent")
until = time.monotonic() + 20
while sys.argv[1] not in sys.modules:
    assert time.monotonic() < until
reap(fork(child))
    """
    outcome = site.unmeasured().run(FAMILY + program, module)
    assert (outcome.status, outcome.stdout) == (0, "")
    assert told(server.mails) == 2


def test_a_fork_while_another_thread_sets_the_handler_up_leaves_a_child_that_can_log(site: Site) -> None:
    """The place of the outbox that is the default takes an import."""
    program = """
sys.setswitchinterval(1e-6)
del os.environ["ALERTLOG_OUTBOX"]
for _ in range(30):
    listen()
    thread = threading.Thread(target=log.critical, args=("From a thread",))
    thread.start()
    reap(fork(lambda: log.critical("From a child")))
    thread.join()
    log.handlers.clear()
    """
    outcome = site.unmeasured().run(FAMILY + program)
    assert (outcome.status, outcome.stdout) == (0, "")


@pytest.mark.parametrize("module", ["alertlog.subjects", "alertlog.evidence", "alertlog.letter"])
def test_a_fork_while_another_thread_asks_for_a_subject_leaves_a_child_that_can_ask(site: Site, module: str) -> None:
    """A subject takes an import, on the thread that asks."""
    program = """
def ask():
    assert "Trouble" in log.handlers[0].getSubject(log.makeRecord("x", 50, "", 0, "Trouble", (), None))


sys.setswitchinterval(1e-6)
listen()
thread = threading.Thread(target=ask)
thread.start()
until = time.monotonic() + 20
while sys.argv[1] not in sys.modules:
    assert time.monotonic() < until
reap(fork(ask))
thread.join()
    """
    outcome = site.unmeasured().run(FAMILY + program, module)
    assert (outcome.status, outcome.stdout) == (0, "")


def test_a_lock_that_forks_wait_for_is_free_on_both_sides(site: Site) -> None:
    program = """
from alertlog.forks import ForkLock

lock = ForkLock()
held, free = threading.Event(), threading.Event()


def hold():
    with lock:
        held.set()
        free.wait(0.2)
        after.append(1)


def child():
    with lock:
        print(len(after), flush=True)
    reap(fork(grandchild))


def grandchild():
    with lock:
        print(len(after), flush=True)


after = []
thread = threading.Thread(target=hold)
thread.start()
held.wait()
reap(fork(child))
thread.join()
with lock:
    reap(fork(grandchild))
    """
    assert site.run(FAMILY + program).stdout == "1\n1\n1\n"


def test_a_fork_gets_between_units_of_work_and_waits_no_longer_than_it_may() -> None:
    lock, go_on, done = UnitLock(), threading.Event(), list[str]()

    def unit(name: str) -> None:
        with lock:
            assert go_on.wait(PATIENCE)
            done.append(name)

    threads = [threading.Thread(target=unit, args=(name,)) for name in ("under way", "next")]
    for thread in threads:
        assert not lock._next.locked()
        thread.start()
        assert eventually(lambda: lock._lock.locked())
    assert eventually(lambda: lock._next.locked())  # one is under way, and one waits
    assert not lock.acquire(timeout=0.01)
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert done == ["under way", "next"]
    with lock:
        assert not lock.acquire(timeout=0.01)
    assert lock.acquire(timeout=PATIENCE)
    lock.release()


def test_forks_one_after_another_while_alerts_are_sent_lose_and_double_nothing(site: Site, server: MailServer) -> None:
    program = """
listen(mails_per_hour=10_000)
count = 0
for number in range(60):
    log.critical("From the parent", extra={"alert": f"kind-{number}"})
    count += 1
    if number % 2:
        reap(fork(lambda: log.critical("From a child")))
    else:
        reap(fork(lambda: [log.critical("From a child"), logging.shutdown()]))
    count += 1
print(count)
    """
    outcome = site.unmeasured().run(FAMILY + program)
    assert (outcome.status, outcome.stdout) == (0, "120\n")
    assert told(server.mails) == 120
    assert not site.journals


def test_a_lock_that_was_made_while_a_fork_was_under_way_is_as_it_was() -> None:
    lock = ForkLock()
    lock.after_fork()  # of a fork that had begun before
    with lock:
        lock.before_fork()
        lock.after_fork()
