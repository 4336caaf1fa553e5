"""A real Postfix for the tests: private, on loopback, with STARTTLS and a login, delivering to Maildirs.

It has a configuration, a queue and a log of its own in a temporary folder, needs no systemd and leaves the
machine's mail alone. It relays nothing: what is not for its own domain is refused, and what would leave all
the same is discarded.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import trustme

from tests.needs import lacking

DOMAIN = "alerts.example"
MAILBOXES = ("operator", "second")
USERNAME = "pipeline"
PASSWORD = "correct horse battery staple"

_POSTFIX, _SASLPASSWD = "/usr/sbin/postfix", "/usr/sbin/saslpasswd2"
_STARTS = 3  # another process can take the free port before Postfix does
_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 20.0

_MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.{domain}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks =
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
alias_maps =
alias_database =

# Nothing leaves the machine, and no name server is asked.
default_transport = discard:
relay_transport = discard:
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_relay_restrictions = reject_unauth_destination
smtpd_client_restrictions = permit_sasl_authenticated, reject
smtpd_delay_reject = yes

smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_cert_file = {folder}/server.pem
smtpd_tls_key_file = {folder}/server.pem
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = {domain}

# A wrong password is answered at once, however often the tests try one.
smtpd_error_sleep_time = 0
smtpd_client_connection_rate_limit = 0

virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = inline:{{ {mailboxes} }}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
"""

_MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup    unix  n - n -     0 cleanup
qmgr       unix  n - n 300   1 qmgr
tlsmgr     unix  - - n 1000? 1 tlsmgr
rewrite    unix  - - n -     - trivial-rewrite
bounce     unix  - - n -     0 bounce
defer      unix  - - n -     0 bounce
trace      unix  - - n -     0 bounce
verify     unix  - - n -     1 verify
proxymap   unix  - - n -     - proxymap
error      unix  - - n -     - error
retry      unix  - - n -     - error
discard    unix  - - n -     - discard
virtual    unix  - n n -     - virtual
anvil      unix  - - n -     1 anvil
postlog    unix-dgram n - n - 1 postlogd
"""

_SASL_CONF = """\
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {folder}/sasldb2
mech_list: PLAIN LOGIN
"""


@dataclass(frozen=True, slots=True)
class Postfix:
    """A running server: where it is, who may log in, and what it has delivered."""

    host: str
    port: int
    username: str
    password: str
    ca_file: str
    folder: Path

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
        """What Postfix says of itself."""
        path = self.folder / "mail.log"
        return path.read_text(errors="replace") if path.exists() else ""


@contextmanager
def running_postfix() -> Iterator[Postfix]:
    """Start a Postfix, and stop it at the end. Skips or fails the test where there can be none."""
    if os.geteuid() != 0:
        lacking("postfix", "it can be started by root only")
    for program in (_POSTFIX, _SASLPASSWD):
        if not os.access(program, os.X_OK):
            lacking("postfix", f"{program} is not installed")
    # Not pytest's tmp_path: Postfix works as users of its own, which can't enter a folder of mode 0700.
    folder = Path(tempfile.mkdtemp(prefix="alertlog-postfix-"))
    folder.chmod(0o755)
    try:
        server, master = _start(folder)
        try:
            yield server
        finally:
            _stop(master)
    finally:
        # Its last processes may still be ending, and rewrite a file while the folder goes.
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path) -> tuple[Postfix, subprocess.Popen[bytes]]:
    _certify(folder)
    _configure(folder)
    _enrol(folder)
    for _ in range(_STARTS):
        port = _free_port()
        (folder / "etc" / "master.cf").write_text(_MASTER_CF.format(port=port))
        master = _run(folder)
        server = Postfix("127.0.0.1", port, USERNAME, PASSWORD, str(folder / "ca.pem"), folder)
        if _greets(master, port):
            return server, master
        _stop(master)
    raise AssertionError(f"Postfix did not start:\n{server.log()}")


def _run(folder: Path) -> subprocess.Popen[bytes]:
    config = str(folder / "etc")
    # `check` makes the folders of the queue. `start-fg` would put a shell between us and the process to end.
    subprocess.run([_POSTFIX, "-c", config, "check"], check=True, stdin=subprocess.DEVNULL)
    where = ["/usr/sbin/postconf", "-c", config, "-h", "daemon_directory"]
    daemons = subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip()
    return subprocess.Popen(
        [f"{daemons}/master", "-c", config, "-s"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )


def _certify(folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1", "localhost", f"mail.{DOMAIN}")
    # Postfix reads it as root, before it becomes another user.
    (folder / "server.pem").touch(mode=0o600)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))


def _enrol(folder: Path) -> None:
    # Debian's Postfix looks for it beside main.cf, whatever cyrus_sasl_config_path says.
    (folder / "etc" / "sasl").mkdir()
    (folder / "etc" / "sasl" / "smtpd.conf").write_text(_SASL_CONF.format(folder=folder))
    database = str(folder / "sasldb2")
    command = ["/usr/sbin/saslpasswd2", "-p", "-c", "-u", DOMAIN, "-f", database, USERNAME]
    subprocess.run(command, input=PASSWORD.encode(), check=True, capture_output=True)
    shutil.chown(database, "postfix")


def _configure(folder: Path) -> None:
    for name in ("etc", "queue", "data", "mail"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    shutil.chown(folder / "mail", "nobody", "nogroup")
    owner = (folder / "mail").stat()
    main = _MAIN_CF.format(
        folder=folder,
        domain=DOMAIN,
        mailboxes=", ".join(f"{{{name}@{DOMAIN} = {name}/}}" for name in MAILBOXES),
        uid=owner.st_uid,
        gid=owner.st_gid,
    )
    (folder / "etc" / "main.cf").write_text(main)


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
    # Postfix's master passes SIGTERM on to all that it started.
    master.terminate()
    try:
        master.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        master.kill()
        master.wait()
