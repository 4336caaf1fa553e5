"""Mail servers to measure against, each in a process of its own so that it takes no time from the caller.

`healthy` takes every mail at once, `mute` accepts connections and never says a word, `dead` is a port at
which nobody listens.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Mood = Literal["healthy", "dead", "mute"]
MOODS: tuple[Mood, ...] = ("healthy", "dead", "mute")


@contextmanager
def sink(mood: Mood, certificate: str = "") -> Iterator[int]:
    """A server in this mood on 127.0.0.1; gives its port. With a certificate it offers STARTTLS."""
    if mood == "dead":
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            yield reserved.getsockname()[1]
        return
    command = [sys.executable, "-m", __name__, mood, certificate]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def serve(mood: str, certificate: str) -> None:
    """Serve until the process is ended."""
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(listener.getsockname()[1], flush=True)
    silent = []
    while True:
        client, _ = listener.accept()
        if mood == "mute":
            silent.append(client)
        else:
            threading.Thread(target=_session, args=(client, context), daemon=True).start()


def _session(client: socket.socket, context: ssl.SSLContext | None) -> None:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(b"220 sink\r\n")
    lines = client.makefile("rb")
    while line := lines.readline():
        verb = line.split(None, 1)[0].upper() if line.strip() else b""
        if verb == b"EHLO":
            client.sendall(b"250-sink\r\n250-STARTTLS\r\n250 8BITMIME\r\n" if context else b"250 sink\r\n")
        elif verb == b"STARTTLS" and context:
            client.sendall(b"220 ready\r\n")
            client = context.wrap_socket(client, server_side=True)
            lines = client.makefile("rb")
        elif verb == b"DATA":
            client.sendall(b"354 go on\r\n")
            while lines.readline() not in (b".\r\n", b""):
                pass
            client.sendall(b"250 taken\r\n")
        elif verb == b"QUIT":
            client.sendall(b"221 bye\r\n")
            break
        else:
            client.sendall(b"250 fine\r\n")
    client.close()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
