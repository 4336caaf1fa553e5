"""What the real mail servers of the tests have in common: private, on loopback, with STARTTLS, a login and Maildirs."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import trustme

DOMAIN = "alerts.example"
MAILBOXES = ("operator", "second")
USERNAME = "pipeline"
PASSWORD = "correct horse battery staple"

_STARTS = 3  # another process can take the free port before the server does
_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class RealServer:
    """A running server: where it is, who may log in, and what it has delivered.

    Attributes:
        logs: a pattern of the names of its logs, within its folder.
    """

    port: int
    folder: Path
    logs: str
    host: str = "127.0.0.1"
    username: str = USERNAME
    password: str = PASSWORD

    @property
    def ca_file(self) -> str:
        return str(self.folder / "ca.pem")

    def address(self, mailbox: str) -> str:
        return f"{mailbox}@{DOMAIN}"

    def mails(self, mailbox: str) -> list[EmailMessage]:
        """The mails in a mailbox of this server, in no particular order."""
        files = (self.folder / "mail" / mailbox / "new").glob("*")
        return [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]

    def wait_for(self, mailbox: str, message_id: str, timeout: float = 30.0) -> EmailMessage:
        """Return the mail with this Message-ID once it is there; AssertionError after `timeout` seconds."""
        pause = threading.Event()
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for mail in self.mails(mailbox):
                if mail["Message-ID"] == message_id:
                    return mail
            pause.wait(0.05)
        raise AssertionError(f"{message_id} did not arrive in {mailbox} within {timeout} s:\n{self.log()}")

    def log(self) -> str:
        """What the server says of itself."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob(self.logs)))


@contextmanager
def a_folder(name: str) -> Iterator[Path]:
    """Make a folder with the certificates that a server needs.

    Not pytest's tmp_path: the servers work as users of their own, which can't enter a folder of mode 0700.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"alertlog-{name}-"))
    folder.chmod(0o755)
    try:
        _certify(folder)
        (folder / "mail").mkdir()
        shutil.chown(folder / "mail", "nobody", "nogroup")
        yield folder
    finally:
        # A server's last processes may still be ending, and rewrite a file while the folder goes.
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(folder: Path, logs: str, start: Callable[[int], subprocess.Popen[bytes]]) -> Iterator[RealServer]:
    """Have a server run on a free port.

    Args:
        start: starts it on a port; it ends all that it started when it is sent SIGTERM.
    """
    for _ in range(_STARTS):
        server = RealServer(_free_port(), folder, logs)
        master = start(server.port)
        try:
            if _greets(master, server.port):
                yield server
                return
        finally:
            _stop(master)
    raise AssertionError(f"the server did not start:\n{server.log()}")


def _certify(folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1", "localhost", f"mail.{DOMAIN}")
    (folder / "server.pem").touch(mode=0o600)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _greets(master: subprocess.Popen[bytes], port: int) -> bool:
    """Whether the server says 220 before it ends or the time is up."""
    pause = threading.Event()
    end = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < end and master.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                return client.recv(4) == b"220 "
        except OSError:
            pause.wait(0.05)
    return False


def _stop(master: subprocess.Popen[bytes]) -> None:
    master.terminate()
    try:
        master.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        master.kill()
        master.wait()
