"""SMTP servers that misbehave by script: silence, drips, floods, drops, refusals, at any step, inside TLS or not.

    with ScriptedServer({"RCPT": "550 5.1.1 no such user", "dot": silence}) as server:
        ...  # talk to server.host, server.port

A script says for some steps what happens there: a reply, a behaviour, or a list of these, one for each time that
the step comes (the last one stays). The steps are the verbs, and `tls` (the handshake), `greeting` and `dot`.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Self

from tests.behaviours import PATIENCE, Script, Step, drip, drop, flood, perform, reset, silence, then
from tests.conversation import Conversation, HangUp

__all__ = [
    "HOSTILE",
    "OFFERS_LOGIN",
    "OFFERS_STARTTLS",
    "Script",
    "ScriptedServer",
    "Step",
    "dead_port",
    "drip",
    "drop",
    "flood",
    "reset",
    "silence",
    "swallowing_port",
    "then",
]

HOST = "127.0.0.1"
_HEALTHY: dict[str, str] = {
    "greeting": "220 scripted.example ESMTP",
    "EHLO": "250-scripted.example\n250-SIZE 10000000\n250 8BITMIME",
    "STARTTLS": "220 2.0.0 go ahead",
    "AUTH": "235 2.7.0 welcome",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go ahead",
    "dot": "250 2.0.0 queued as 4711",
    "RSET": "250 2.0.0 ok",
    "QUIT": "221 2.0.0 bye",
}
OFFERS_STARTTLS = "250-scripted.example\n250 STARTTLS"
OFFERS_LOGIN = "250-scripted.example\n250 AUTH PLAIN LOGIN"


class ScriptedServer:
    """Serves any number of connections until its `with` block ends.

    Args:
        script: by step, what differs from a healthy server.
        tls: the context for handshakes.
        implicit: True for TLS from the first byte.

    Attributes:
        steps: what has begun so far, in order, over all connections.
        contents: the mails that were transmitted whole, dots stuffed.
        connections: how many there were.
    """

    host = HOST

    def __init__(
        self, script: Script | None = None, tls: ssl.SSLContext | None = None, *, implicit: bool = False
    ) -> None:
        self.steps: list[str] = []
        self.contents: list[bytes] = []
        self.connections = self.port = 0
        self._behaviours: dict[str, list[Step]] = {step: [reply] for step, reply in _HEALTHY.items()}
        if tls:
            self._behaviours["tls"] = [lambda conversation: conversation.shake_hands(tls)]
        for step, given in (script or {}).items():
            self._behaviours[step] = [given] if isinstance(given, str) or callable(given) else list(given)
        self._implicit = implicit
        self._record = bytearray()
        self._stopped = threading.Event()
        self._happened = threading.Condition()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server((self.host, 0))
        self.port = int(self._listener.getsockname()[1])
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for sock in (self._listener, *self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
        self._listener.close()

    @property
    def received(self) -> bytes:
        """All that clients have sent, decrypted where TLS was spoken."""
        return bytes(self._record)

    def wait_for(self, step: str, times: int = 1) -> None:
        """Wait until a step has begun that often; `end` is the end of a connection.

        Raises:
            TimeoutError: it did not.
        """
        with self._happened:
            if not self._happened.wait_for(lambda: self.steps.count(step) >= times, PATIENCE):
                raise TimeoutError(f"{step} came {self.steps.count(step)} times of {times}: {self.steps}")

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                self._open.append(sock)
                self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with sock, suppress(OSError, HangUp):
            self._converse(Conversation(sock, self._record, self._stopped))
        self.note("end")

    def _converse(self, conversation: Conversation) -> None:
        if self._implicit:
            self._do("tls", conversation)
        self._do("greeting", conversation)
        verb = ""
        while verb != "QUIT":
            verb = conversation.read_line().decode("utf-8", "replace").partition(" ")[0].upper()
            self._do(verb, conversation)
            if verb == "STARTTLS" and conversation.said.startswith(b"220"):
                self._do("tls", conversation)
            elif verb == "DATA" and conversation.said.startswith(b"354"):
                self.contents.append(conversation.read_content())
                self._do("dot", conversation)

    def _do(self, step: str, conversation: Conversation) -> None:
        self.note(step)
        behaviours = self._behaviours.get(step, ["500 5.5.1 unknown"])
        perform(behaviours.pop(0) if len(behaviours) > 1 else behaviours[0], conversation)

    def note(self, step: str) -> None:
        """Add to `steps`, also what a test wants its behaviours to know."""
        with self._happened:
            self.steps.append(step)
            self._happened.notify_all()


@contextmanager
def dead_port() -> Iterator[int]:
    """A port of HOST where nobody listens, and nobody else can."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        yield sock.getsockname()[1]


@contextmanager
def swallowing_port() -> Iterator[int]:
    """A port of HOST where a connection is neither made nor refused, as behind a firewall that drops packets."""
    with socket.create_server((HOST, 0), backlog=0) as listener, ExitStack() as queue:
        port = int(listener.getsockname()[1])
        for _ in range(2):  # the first fills the backlog, the second finds it full
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((HOST, port))
        yield port


HOSTILE: Mapping[str, Script] = {
    "says nothing": {"greeting": silence},
    "drips its greeting": {"greeting": drip("220-" + "x" * 1_000, 0.05)},
    "floods": {"EHLO": flood("250-" + "x" * 60, 2**28)},
    "hangs up at once": {"greeting": drop},
    "speaks HTTP": {"greeting": "HTTP/1.1 400 Bad Request"},
    "is busy": {"greeting": "421 4.3.2 try later"},
    "refuses us": {"greeting": "554 5.7.1 go away"},
    "resets after EHLO": {"EHLO": reset},
    "refuses senders": {"MAIL": "550 5.7.1 not you"},
    "knows nobody": {"RCPT": "550 5.1.1 no such user"},
    "greylists": {"RCPT": "451 4.7.1 try later"},
    "rejects content": {"dot": "554 5.6.0 not that"},
    "hangs up in the content": {"DATA": then("354 go ahead", drop)},
    "never answers the dot": {"dot": silence},
    "hangs up after the dot": {"dot": drop},
    "speaks out of turn": {"MAIL": "354 go ahead"},
}
"""Scripts by what such a server does, for tests of whatever must bear all of them; none wants TLS."""
