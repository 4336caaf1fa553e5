"""What all tests share: an environment of their own, and servers that are started once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.exim import running_exim
from tests.needs import VARIABLE
from tests.postfix import running_postfix
from tests.real_server import RealServer
from tests.redis_server import RedisServer, running_redis

# The machine may be busy: only the answers count, not how long an example takes. On CI the same examples come
# every time, so that a change is not blamed for what an unlucky draw found.
settings.register_profile("here", deadline=None, print_blob=True)
settings.register_profile("ci", settings.get_profile("here"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")


# A shell's background ignores these, and the programs that tests start would inherit that.
for ignored in (signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No test sees the mail settings of whoever runs it, nor touches their home; child processes neither."""
    for name in list(os.environ):
        if name.startswith(("SMTP_", "ALERTLOG_")) and name != VARIABLE:
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home", numbered=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    return home


@pytest.fixture(scope="session")
def postfix() -> Iterator[RealServer]:
    """A real mail server on loopback, the same for all tests."""
    with running_postfix() as server:
        yield server


@pytest.fixture(scope="session")
def exim() -> Iterator[RealServer]:
    """An Exim with a login over STARTTLS, for all tests that ask for it."""
    with running_exim() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A real Redis on loopback, the same for all tests that do not kill it."""
    with running_redis() as server:
        yield server
