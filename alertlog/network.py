"""How a check finds a host's addresses and gets to one of them: in two steps, each of which it tells of."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from alertlog.wire import Address, BoundedSocket, Deadline, first_to_answer


def resolve(host: str, port: int) -> Sequence[Address]:
    """Ask the system. Raises socket.gaierror if it knows none."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


@dataclass(frozen=True, slots=True)
class Network:
    """The two things that the network is asked for.

    Attributes:
        resolve: returns the addresses of a host, with a port.
        reach: connects to the first of them that answers, as a courier does.
    """

    resolve: Callable[[str, int], Sequence[Address]] = resolve
    reach: Callable[[Sequence[Address], Deadline], BoundedSocket] = first_to_answer

    def addresses(self, host: str, port: int, seconds: float) -> Sequence[Address]:
        """Ask for so long at most, on a thread of its own, as nothing can interrupt a resolver.

        Raises:
            TimeoutError: the time is up.
            OSError: socket.gaierror, if there is no such host.
        """
        answers: queue.SimpleQueue[Sequence[Address] | OSError] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self.resolve(host, port))
            except OSError as error:
                answers.put(error)

        threading.Thread(target=ask, name="alertlog-resolver", daemon=True).start()
        try:
            answer = answers.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError(f"no name server answered within {seconds:.1f} s") from None
        if isinstance(answer, OSError):
            raise answer
        return answer


NETWORK = Network()
"""The system's own."""


def reached(sock: socket.socket) -> str:
    """Return the address at the other end, "" if it is gone again, which the next step meets."""
    try:
        return str(sock.getpeername()[0])
    except OSError:
        return ""
