"""A deployment for tests of `alertlog check`: its folder, its environment, its outbox, the servers that it talks to."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from alertlog.clock import SystemClock
from alertlog.network import Network, resolve
from alertlog.steps import Step
from alertlog.walk import Scope, check
from alertlog.walk_waiting import Limits
from alertlog.wire import Address, BoundedSocket, Deadline, first_to_answer
from tests.certificates import Authority
from tests.needs import lacking

PASSWORD = "correct horse battery"
NOBODY = 65_534
HEALTHY = "250-scripted.example\n250-SIZE 30000000\n250-8BITMIME\n250 AUTH PLAIN LOGIN"


class Server(Protocol):
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check said."""

    steps: tuple[Step, ...]

    @property
    def names(self) -> list[str]:
        return [step.name for step in self.steps]

    def step(self, name: str) -> Step:
        """The last step of that name."""
        return [step for step in self.steps if step.name == name][-1]

    @property
    def lines(self) -> str:
        """What people read."""
        return "\n".join(line for step in self.steps for line in step.lines())

    @property
    def failed(self) -> list[str]:
        return [step.name for step in self.steps if step.outcome == "failed"]

    @property
    def mistakes(self) -> list[str]:
        return [advice.mistake for step in self.steps for advice in step.advice]


class Scene:
    """One deployment. What `check` says never has the password in it: each check looks."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, authority: Authority, stranger: Authority
    ) -> None:
        self.folder = folder
        self.patch = monkeypatch
        self.authority = authority
        self.stranger = stranger
        self.outbox = folder / "state" / "alerts.sqlite3"
        self.network = Network()
        self.limits = Limits()
        monkeypatch.chdir(folder)
        self.environ(ALERTLOG_OUTBOX=str(self.outbox), ALERTLOG_SERVICE="etl")

    def environ(self, **variables: str) -> None:
        for name, value in variables.items():
            self.patch.setenv(name, value)

    def configure(self, text: str) -> None:
        """Write the deployment's logging.yaml."""
        (self.folder / "logging.yaml").write_text(f"version: 1\n{text}", encoding="utf-8")

    def template(self, name: str, text: str) -> None:
        """Give the deployment a template of its own, and a handler that uses it."""
        folder = self.folder / "mail"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
        self.configure(f"handlers: {{alerts: {{class: alertlog.AlertHandler, service: etl, templates: {folder}}}}}\n")

    def known(self, host: str, server: Server | None = None, error: OSError | None = None) -> None:
        """Have a name lead to a server of the test's, or to an error of the resolver's."""

        def answer(asked: str, port: int) -> Sequence[Address]:
            if asked != host:
                return resolve(asked, port)
            if error is not None:
                raise error
            assert server is not None
            return resolve(server.host, server.port)

        self.network = Network(answer, self.network.reach)

    def leads_to(self, *addresses: Address) -> None:
        """Have all names lead to these addresses."""
        self.network = Network(lambda _host, _port: addresses, self.network.reach)

    def distant(self) -> None:
        """Have the test's servers seem far away."""
        self.network = Network(self.network.resolve, _reach_distant)

    def check_offline(self, **variables: str) -> Checked:
        """Check the deployment as it is, but for the network."""
        self.environ(**variables)
        return self._check(Scope(True, self.limits))

    def check(self, server: Server | None = None, /, **variables: str) -> Checked:
        """Check the deployment as it is, with a server that speaks without TLS unless the variables say otherwise."""
        if server is not None:
            self.environ(
                SMTP_HOST=server.host,
                SMTP_PORT=str(server.port),
                SMTP_TRANSPORT="none",
                SMTP_FROM="etl@example.org",
                SMTP_TO="oncall@example.org",
            )
        self.environ(**variables)
        return self._check(Scope(False, self.limits, self.network))

    def _check(self, scope: Scope) -> Checked:
        steps: list[Step] = []
        check(None, Path(), SystemClock(), scope, steps.append)
        said = "\n".join(f"{step.lines()} {step.to_dict()}" for step in steps)
        assert PASSWORD not in said
        return Checked(tuple(steps))


def login(user: str = "etl@example.org", password: str = PASSWORD) -> Mapping[str, str]:
    return {"SMTP_USERNAME": user, "SMTP_PASSWORD": password}


def token(value: str) -> Mapping[str, str]:
    """The settings of a login by a token."""
    return {"SMTP_AUTH": "xoauth2", "SMTP_USERNAME": "etl@example.org", "SMTP_TOKEN": value}


def oauth(url: str) -> Mapping[str, str]:
    """The settings of a login by tokens from a token server."""
    return {
        "SMTP_AUTH": "xoauth2",
        "SMTP_USERNAME": "etl@example.org",
        "SMTP_OAUTH_TOKEN_URL": url,
        "SMTP_OAUTH_CLIENT_ID": "etl",
        "SMTP_OAUTH_CLIENT_SECRET": PASSWORD,
    }


def settings(**variables: str) -> dict[str, str]:
    """A whole environment whose server nobody asks."""
    return {
        "SMTP_HOST": "mail.example.org",
        "SMTP_FROM": "etl@example.org",
        "SMTP_TO": "oncall@example.org",
        **variables,
    }


class _Distant(BoundedSocket):
    def getpeername(self) -> tuple[str, int]:
        return ("192.0.2.7", 25)


def _reach_distant(addresses: Sequence[Address], deadline: Deadline) -> BoundedSocket:
    near = first_to_answer(addresses, deadline)
    distant = _Distant(near.family, near.type, near.proto, near.detach())
    distant.deadline = deadline
    return distant


def address(host: str, port: int = 25) -> Address:
    """An address as a resolver gives it, whatever it is."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    rest: Any = (host, port, 0, 0) if family is socket.AF_INET6 else (host, port)
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", rest)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user without any rights; whoever runs the tests may be root."""
    before = os.geteuid()
    if before != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder into which every user may write, also where those of pytest are closed."""
    with tempfile.TemporaryDirectory(prefix="alertlog-check-") as name:
        folder = Path(name).resolve()
        folder.chmod(0o777)
        if os.geteuid() == 0:
            with as_nobody():
                reachable = os.access(folder, os.W_OK | os.X_OK, effective_ids=True)
            if not reachable:
                lacking("shared temporary folder", "other users can't reach it")
        yield folder
