"""The connection to the Redis server that hosts share: one deadline for each call, and its errors under our own name.

Redis is imported here and nowhere else, at the first use, which takes a quarter of a second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from alertlog.clock import Clock
from alertlog.errors import FleetUnavailable
from alertlog.redact import MARK
from alertlog.wire import Deadline

PATIENCE = 2.0
"""Seconds that one call may take; a name server, which nothing can interrupt, may take more."""
CONNECT_PATIENCE = 1.0
"""Seconds for one address of the server to answer."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and the name under which a server that has run it once knows it."""

    text: str
    digest: str

    @classmethod
    def load(cls, name: str) -> Script:
        return cls.of(files("alertlog").joinpath("lua", name).read_text(encoding="utf-8"))

    @classmethod
    def of(cls, text: str) -> Script:
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a script: the names of the keys that it touches, and its arguments."""

    keys: tuple[str, ...]
    arguments: tuple[str | int | float, ...]


class Link:
    """One server.

    Attributes:
        place: `host:port`, or the path of a socket, for people to read.
    """

    def __init__(self, url: str, source: str, clock: Clock, patience: float = PATIENCE) -> None:
        """Connects to nothing yet.

        Args:
            source: the variable that the URL comes from, to name it where something is wrong with it.
            patience: seconds that one call may take, however much it carries.

        Raises:
            FleetUnavailable: the URL is none of a Redis server, or the extra is missing or can't be imported now.
        """
        try:
            import redis
        except ImportError:
            raise _misconfigured(source, "needs the extra: pip install 'alertlog[redis]'") from None
        except Exception as error:  # while the interpreter shuts down, some modules refuse to be imported
            raise FleetUnavailable(f"Redis's client can't be imported: {error}") from None
        try:
            pool = _pool(url, Deadline(clock, patience))
        except Exception:  # its text may show a part of the URL
            problem = "is not the URL of a Redis server (redis://, rediss:// or unix://)"
            raise _misconfigured(source, problem) from None
        given = pool.connection_kwargs
        self.place = str(given.get("path") or f"{given.get('host', 'localhost')}:{given.get('port', 6379)}")
        self._secrets = tuple(str(given[name]) for name in ("password", "username") if given.get(name))
        self._pool = pool
        self._client: Any = redis.Redis(connection_pool=pool)
        self._unknown_script: type[Exception] = redis.exceptions.NoScriptError

    def close(self) -> None:
        self._pool.disconnect()

    def run(self, script: Script, calls: Sequence[Call]) -> list[bytes]:
        """Run a script so many times in one round trip, or in two where the server doesn't know it yet.

        Raises:
            FleetUnavailable: the server is out of reach, too slow, or refuses one of them; any of them may have run.
        """
        self._pool.deadline.renew()
        try:
            replies = self._send(script, calls, known=True)
            if any(isinstance(reply, self._unknown_script) for reply in replies):
                replies = self._send(script, calls, known=False)
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
        except Exception as error:  # whatever it is, the hosts go on by themselves
            self.close()
            raise FleetUnavailable(self._text(error)) from None
        return replies

    def _send(self, script: Script, calls: Sequence[Call], *, known: bool) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            send, what = (pipeline.evalsha, script.digest) if known else (pipeline.eval, script.text)
            send(what, len(call.keys), *call.keys, *call.arguments)
            known = True
        replies: list[Any] = pipeline.execute(raise_on_error=False)
        return replies

    def _text(self, error: Exception) -> str:
        text = f"{self.place}: {str(error) or type(error).__name__}"
        for secret in self._secrets:  # Redis repeats the arguments of a command that it doesn't know
            text = text.replace(secret, MARK)
        return text


def _misconfigured(source: str, problem: str) -> FleetUnavailable:
    return FleetUnavailable(f"{source} {problem}", problems={source: problem})


def _pool(url: str, deadline: Deadline) -> Any:
    from redis import ConnectionPool
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    # Older versions don't look at the name in the certificate.
    with_tls = {"ssl_check_hostname": True} if url.lower().startswith("rediss:") else {}
    pool: Any = ConnectionPool.from_url(url, protocol=2, retry=Retry(NoBackoff(), 0), **with_tls)
    # Afterwards, because what a URL says wins over the arguments beside it.
    pool.connection_kwargs |= {"socket_connect_timeout": CONNECT_PATIENCE, "socket_timeout": deadline.seconds}
    pool.connection_class = _bounded(pool.connection_class, deadline)
    pool.deadline = deadline
    return pool


class BoundedSocket:
    """A connected socket for redis-py, whose own timeout starts anew with each byte that comes."""

    def __init__(self, sock: Any, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline
        self._timeout: float | None = sock.gettimeout()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def recv(self, *arguments: Any) -> Any:
        return self._in_time(self._sock.recv, *arguments)

    def recv_into(self, *arguments: Any) -> Any:
        return self._in_time(self._sock.recv_into, *arguments)

    def sendall(self, data: Any) -> None:
        self._in_time(self._sock.sendall, data)  # whose timeout is for all of it

    def _in_time(self, act: Callable[..., Any], *arguments: Any) -> Any:
        left = self._deadline.left()
        self._sock.settimeout(left if self._timeout is None else min(left, self._timeout))
        return act(*arguments)


def _bounded(base: Any, deadline: Deadline) -> Any:
    class Bounded(base):  # type: ignore[misc]
        def _connect(self) -> BoundedSocket:
            return BoundedSocket(super()._connect(), deadline)

    return Bounded
