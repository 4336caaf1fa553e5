"""A real Exim for the tests: private, on loopback, with STARTTLS and a login, delivering to Maildirs.

Debian installs one mail server at a time, and that is Postfix here: Exim's program is taken out of its package, and
`ALERTLOG_TEST_EXIM` says where it lies. It has a configuration, a spool and logs of its own in a temporary folder, and
relays nothing.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.needs import lacking
from tests.real_server import DOMAIN, MAILBOXES, PASSWORD, USERNAME, RealServer, a_folder, running

_PROGRAM = os.environ.get("ALERTLOG_TEST_EXIM", "/usr/sbin/exim4")
_USER = "Debian-exim"  # Debian's Exim refuses to run without it

_CONFIGURATION = """\
exim_path = {program}
primary_hostname = mail.{domain}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%s
pid_file_path = {folder}/pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
domainlist ours = {domain}

tls_advertise_hosts = *
tls_certificate = {folder}/server.pem
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}

# No name server is asked, and nobody is asked who we are.
host_lookup =
rfc1413_hosts =
acl_smtp_rcpt = recipient
keep_environment =
# A configuration that is not the system's has no privilege beyond Exim's own user.
deliver_drop_privilege = true
add_environment =

begin acl
recipient:
  deny  !authenticated = *
        message = log in first
  accept domains = +ours
         endpass
         message = no such mailbox
         verify = recipient
  deny  message = relaying is not permitted

begin routers
mailboxes:
  driver = accept
  domains = +ours
  local_parts = {mailboxes}
  transport = maildir

begin transports
maildir:
  driver = appendfile
  directory = {folder}/mail/$local_part_data
  maildir_format
  delivery_date_add
  envelope_to_add
  return_path_add

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{username}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2

login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = <| Username: | Password:
  server_condition = ${{if and{{{{eq{{$auth1}}{{{username}}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
"""


@contextmanager
def running_exim() -> Iterator[RealServer]:
    """Start an Exim, and stop it at the end. Skips or fails the test where there can be none."""
    if os.geteuid() != 0:
        lacking("exim", "it can be started by root only")
    if not os.access(_PROGRAM, os.X_OK):
        lacking("exim", f"{_PROGRAM} is not installed")
    if _USER not in {user.pw_name for user in pwd.getpwall()}:
        lacking("exim", f"there is no user {_USER}")
    with a_folder("exim") as folder, running(folder, "log/*", partial(_run, folder)) as server:
        yield server


def _run(folder: Path, port: int) -> subprocess.Popen[bytes]:
    user = pwd.getpwnam(_USER)
    configuration = folder / "exim.conf"
    for name in ("spool", "log"):
        (folder / name).mkdir(exist_ok=True)
    configuration.touch(mode=0o640)  # it has to be root's, and what is not root any more reads it again
    os.chown(configuration, 0, user.pw_gid)
    for name in ("spool", "log", "mail", "server.pem"):
        os.chown(folder / name, user.pw_uid, user.pw_gid)
    configuration.write_text(
        _CONFIGURATION.format(
            program=_PROGRAM,
            folder=folder,
            domain=DOMAIN,
            port=port,
            mailboxes=" : ".join(MAILBOXES),
            username=USERNAME,
            password=PASSWORD,
        )
    )
    # -bdf: in the foreground, so that the process is the one to end.
    return subprocess.Popen(
        [_PROGRAM, "-C", str(configuration), "-bdf", "-q1h"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
