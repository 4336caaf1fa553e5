"""An OAuth 2 token server on the loopback, over HTTP or HTTPS, that answers what a test says."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl

from tests.behaviours import PATIENCE

Answer = dict[str, Any] | tuple[int, Any] | Callable[["Exchange"], object]
"""JSON with status 200; a status and JSON, or bytes as they are; or whatever a function does with the exchange."""


class Exchange(BaseHTTPRequestHandler):
    """One request; ends with the connection."""

    server: TokenServer

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/x-www-form-urlencoded"
        answer = self.server.note(self.path, dict(parse_qsl(content.decode())))
        with suppress(OSError):
            if callable(answer):
                answer(self)
            else:
                self.give(*answer) if isinstance(answer, tuple) else self.give(200, answer)

    def give(self, status: int, content: Any, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def hold(self) -> None:
        """Say nothing more until the server stops."""
        self.server.stopped.wait(PATIENCE)

    def log_message(self, *_: object) -> None:
        """Standard error is the test's."""


class TokenServer(ThreadingHTTPServer):
    """Serves until its `with` block ends.

    Args:
        answers: one for each request; the last one stays.

    Attributes:
        requests: the forms that came, in order; `paths`: where to.
    """

    daemon_threads = True

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.requests: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.stopped = threading.Event()
        self._answers = list(answers)
        self._scheme = "https" if tls else "http"
        self._tls = tls
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.server_address[1]}/tenant/token?version=2"

    def note(self, path: str, form: dict[str, str]) -> Answer:
        with self._lock:
            self.paths.append(path)
            self.requests.append(form)
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def finish_request(self, request: Any, client_address: Any) -> None:
        """On the request's own thread: TLS, then HTTP."""
        with suppress(OSError):
            if self._tls:
                request = self._tls.wrap_socket(request, server_side=True)
            with request:
                super().finish_request(request, client_address)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.shutdown()
        self._thread.join(PATIENCE)
        self.server_close()


def granted(token: str = "ya29.granted", **more: Any) -> dict[str, Any]:
    """What a server answers that grants a token."""
    return {"access_token": token, "token_type": "Bearer", "expires_in": 3600, **more}


def refused(error: str, description: str = "", status: int = 400) -> tuple[int, dict[str, str]]:
    return status, {"error": error, "error_description": description}
