"""A real Postfix for the tests: private, on loopback, with STARTTLS and a login, delivering to Maildirs.

It has a configuration, a queue and a log of its own in a temporary folder, needs no systemd and leaves the
machine's mail alone. It relays nothing: what is not for its own domain is refused, and what would leave all
the same is discarded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.needs import lacking
from tests.real_server import DOMAIN, MAILBOXES, PASSWORD, USERNAME, RealServer, a_folder, running

_POSTFIX, _SASLPASSWD = "/usr/sbin/postfix", "/usr/sbin/saslpasswd2"

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


@contextmanager
def running_postfix() -> Iterator[RealServer]:
    """Start a Postfix, and stop it at the end. Skips or fails the test where there can be none."""
    if os.geteuid() != 0:
        lacking("postfix", "it can be started by root only")
    for program in (_POSTFIX, _SASLPASSWD):
        if not os.access(program, os.X_OK):
            lacking("postfix", f"{program} is not installed")
    with a_folder("postfix") as folder:
        _configure(folder)
        _enrol(folder)
        with running(folder, "mail.log", partial(_run, folder)) as server:
            yield server


def _run(folder: Path, port: int) -> subprocess.Popen[bytes]:
    config = str(folder / "etc")
    (folder / "etc" / "master.cf").write_text(_MASTER_CF.format(port=port))
    # `check` makes the folders of the queue. `start-fg` would put a shell between us and the process to end.
    subprocess.run([_POSTFIX, "-c", config, "check"], check=True, stdin=subprocess.DEVNULL)
    where = ["/usr/sbin/postconf", "-c", config, "-h", "daemon_directory"]
    daemons = subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip()
    # It passes SIGTERM on to all that it started.
    return subprocess.Popen(
        [f"{daemons}/master", "-c", config, "-s"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )


def _enrol(folder: Path) -> None:
    # Debian's Postfix looks for it beside main.cf, whatever cyrus_sasl_config_path says.
    (folder / "etc" / "sasl").mkdir()
    (folder / "etc" / "sasl" / "smtpd.conf").write_text(_SASL_CONF.format(folder=folder))
    database = str(folder / "sasldb2")
    command = [_SASLPASSWD, "-p", "-c", "-u", DOMAIN, "-f", database, USERNAME]
    subprocess.run(command, input=PASSWORD.encode(), check=True, capture_output=True)
    shutil.chown(database, "postfix")


def _configure(folder: Path) -> None:
    for name in ("etc", "queue", "data"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    owner = (folder / "mail").stat()
    main = _MAIN_CF.format(
        folder=folder,
        domain=DOMAIN,
        mailboxes=", ".join(f"{{{name}@{DOMAIN} = {name}/}}" for name in MAILBOXES),
        uid=owner.st_uid,
        gid=owner.st_gid,
    )
    (folder / "etc" / "main.cf").write_text(main)
