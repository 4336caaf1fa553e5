"""A thousand processes that raise an alert and are killed as soon as the call returns: is any lost?

The mail server is dead meanwhile. When it is back, a later process with the same outbox sends what they left,
and the Counts of the distinct mails that arrive are added up.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time

from alertlog import AlertHandler
from alertlog.testing import MailServer
from tests.benchmarks.tables import print_table

KILLS = 1_000
PATIENCE = 300.0  # s, for all the mails


def main(_: int) -> None:
    with tempfile.TemporaryDirectory() as folder, MailServer(transport="none") as server:
        environment = os.environ | server.environ()
        server.stop()
        begin = time.monotonic()
        assert _worker("raise", folder, environment).wait() == 0
        raised_in = time.monotonic() - begin
        server.start()
        sender = _worker("send", folder, environment)
        told = _wait_until_told(server, sender)
        mails = len(server.mails)
    headings = ("killed right after the call", "alerts", "told by mails", "lost", "mails", "raised in")
    row = ("SIGKILL", str(KILLS), str(told), str(KILLS - told), str(mails), f"{raised_in:.1f} s")
    print_table("Alerts that a kill can cost", headings, [row])


def _worker(task: str, folder: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", __name__, task, f"{folder}/alerts.sqlite3"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def _wait_until_told(server: MailServer, sender: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + PATIENCE
    while _told(server) < KILLS and time.monotonic() < end and sender.poll() is None:
        time.sleep(0.2)
    sender.terminate()
    sender.wait()
    return _told(server)


def _told(server: MailServer) -> int:
    """The sum of the Counts; a copy has the same Message-ID and counts once."""
    messages = [mail.message for mail in server.mails]
    return sum({message["Message-ID"]: int(message["X-Alertlog-Count"]) for message in messages}.values())


def raise_and_die(outbox: str) -> None:
    """In a thousand children, one after the other."""
    for number in range(KILLS):
        child = os.fork()
        if child == 0:
            _logger(outbox).critical("Call %d", number, extra={"alert": f"kill-{number}"})
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)


def send(outbox: str) -> None:
    """Raise nothing; the first record of any level wakes the courier, which sends what is due."""
    _logger(outbox).info("back")
    time.sleep(PATIENCE)


def _logger(outbox: str) -> logging.Logger:
    logger = logging.Logger("portfolio_etl", logging.INFO)
    logger.addHandler(AlertHandler(service="bench", outbox=outbox))
    return logger


if __name__ == "__main__":
    {"raise": raise_and_die, "send": send}[sys.argv[1]](sys.argv[2])
