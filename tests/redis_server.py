"""A real redis-server for the tests: private, on loopback, keeping nothing on disk; it can be killed and come back."""

from __future__ import annotations

import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from tests.needs import lacking

PASSWORD = "correct/horse+battery"
_PROGRAM = "redis-server"
_STARTS = 3  # another process can take the free port before it does
_PATIENCE = 30.0


class RedisServer:
    """A server that can be stopped and started again on the same port, empty."""

    host = "127.0.0.1"

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"

    @property
    def client(self) -> Any:
        """A client of the test's own."""
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        return redis.Redis(self.host, self.port, socket_timeout=5, retry=Retry(NoBackoff(), 0))

    def start(self) -> None:
        for _ in range(_STARTS):
            self.port = self.port or free_port()
            command = [
                _PROGRAM, "--port", str(self.port), "--bind", self.host, "--save", "", "--appendonly", "no",
                "--dir", str(self._folder), "--daemonize", "no", *self._options,
            ]  # fmt: skip
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            if self._answers(self._process):
                return
            self.kill()
            self.port = 0
        raise AssertionError("redis-server did not start")

    def kill(self) -> None:
        """End it at once, with all that it knows."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: int) -> None:
        """Send it a signal, such as SIGSTOP: it then takes connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(number)

    def empty(self) -> None:
        """Let it forget all that it knows, scripts too."""
        with closing(self.client) as client:
            client.flushall()
            client.script_flush()

    def wait_until(self, holds: Callable[[Any], bool]) -> None:
        """Wait until something holds of the server, asked with a client; AssertionError if it takes too long."""
        pause = threading.Event()
        end = time.monotonic() + _PATIENCE
        with closing(self.client) as client:
            while not holds(client):
                assert time.monotonic() < end
                pause.wait(0.02)

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        pause = threading.Event()
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and process.poll() is None:
            try:
                with socket.create_connection((self.host, self.port), timeout=5) as client:
                    client.sendall(b"PING\r\n")
                    if client.recv(1):
                        return True
            except OSError:
                pause.wait(0.02)
        return False


@contextmanager
def running_redis(*options: str) -> Iterator[RedisServer]:
    """Start a server, and end it at the end. Skips or fails the test where there can be none."""
    if shutil.which(_PROGRAM) is None:
        lacking(_PROGRAM, "it is not installed")
    with tempfile.TemporaryDirectory(prefix="alertlog-redis-") as folder:
        server = RedisServer(Path(folder), *options)
        server.start()
        try:
            yield server
        finally:
            server.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Impostor:
    """Takes connections in a server's place and does with each what it is told to.

    Args:
        behave: is given each connection; it is closed when that returns.
    """

    host = "127.0.0.1"

    def __init__(self, behave: Callable[[socket.socket], object]) -> None:
        self._behave = behave
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._listen)]

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        with suppress(OSError):  # nobody listens any more
            socket.create_connection((self.host, self.port), timeout=5).close()
        for thread in self._threads:
            thread.join(_PATIENCE)
        self._listener.close()

    def _listen(self) -> None:
        while True:
            connection, _address = self._listener.accept()
            if self._ended.is_set():
                connection.close()
                return
            self.connections += 1
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):  # the client has closed it
            connection.settimeout(_PATIENCE)
            self._behave(connection)


class Relay:
    """A way to a server on which answers can get lost: it hangs up in place of the next `losing` ones."""

    host = "127.0.0.1"

    def __init__(self, server: RedisServer) -> None:
        self.losing = 0
        self._server = server
        self._impostor = Impostor(self._pass_on)

    @property
    def url(self) -> str:
        return self._impostor.url

    def __enter__(self) -> Self:
        self._impostor.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._impostor.__exit__(*error)

    def _pass_on(self, connection: socket.socket) -> None:
        with socket.create_connection((self._server.host, self._server.port), timeout=_PATIENCE) as server:
            ends = {connection: server, server: connection}
            while True:
                for end in select.select(list(ends), [], [], _PATIENCE)[0]:
                    data = end.recv(65_536)
                    if not data:
                        return
                    if end is server and self.losing:
                        self.losing -= 1
                        return
                    ends[end].sendall(data)


def drip(connection: socket.socket) -> None:
    """Answer at length, an octet at a time, each in time for a timeout that starts anew with each."""
    pause = threading.Event()
    while connection.recv(65_536):
        connection.sendall(b"+")
        for _ in range(200):
            connection.sendall(b"a")
            pause.wait(0.05)


def mute(connection: socket.socket) -> None:
    """Answer nothing."""
    while connection.recv(65_536):
        pass


def say(*answers: bytes) -> Callable[[socket.socket], None]:
    """Return what gives each command its answer in turn, the last one again and again."""

    def behave(connection: socket.socket) -> None:
        left = list(answers)
        while connection.recv(65_536):
            connection.sendall(left.pop(0) if len(left) > 1 else left[0])

    return behave
