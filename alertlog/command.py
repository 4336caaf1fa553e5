"""Runs a program for what it prints: no shell, bounded in time and in output, killed with its process group."""

from __future__ import annotations

import os
import re
import selectors
import signal
from contextlib import suppress
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from typing import TYPE_CHECKING, cast

from alertlog.errors import DeadlineExceeded, ServerUnavailable, SessionRefused

if TYPE_CHECKING:
    from alertlog.wire import Deadline

OUTPUT_LIMIT = 65_536
"""Bytes that it may print."""
COMPLAINT_LIMIT = 200
"""Characters shown of the last line that it writes to standard error."""

# What looks like a token: in a complaint nobody knows which one it would be.
_LONG_WORD = re.compile(r"[\w.~+/=-]{32,}")


def output_of(words: tuple[str, ...], deadline: Deadline) -> bytes:
    """Return what the program writes to standard output. It reads nothing and has a session of its own.

    Raises:
        SessionRefused: it can't be run, or prints too much.
        ServerUnavailable: it failed.
        DeadlineExceeded: it had not ended in time, and was killed, with all processes of its group.
    """
    name = os.path.basename(words[0])
    try:
        process = Popen(words, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name or an argument can't be passed on"
        raise SessionRefused(f"the token command {name} can't be run: {reason}", stage="token") from None
    with process:
        try:
            printed, complaint = _read(process, deadline)
            code = process.wait(deadline.left()) if printed is not None else -1
        except (TimeoutError, TimeoutExpired):
            _kill(process)
            raise DeadlineExceeded(f"the token command {name} did not end in time", stage="token") from None
        except BaseException:
            _kill(process)
            raise
        if printed is None:
            _kill(process)
            raise SessionRefused(f"the token command {name} prints more than {OUTPUT_LIMIT:,} bytes", stage="token")
    if code:
        raise ServerUnavailable(f"the token command {name} {_end(code)}{_said(complaint)}", stage="token")
    return printed


def _read(process: Popen[bytes], deadline: Deadline) -> tuple[bytes | None, bytes]:
    """Return what it printed, None if that is too much, and the end of what it complained of.

    Raises:
        TimeoutError: the time is up.
    """
    printed, complaint = bytearray(), b""
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            selector.register(cast("int", stream), selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(deadline.left())
            for key, _events in ready:
                data = os.read(key.fd, OUTPUT_LIMIT)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stdout:
                    printed += data
                else:
                    complaint = (complaint + data)[-4 * COMPLAINT_LIMIT :]
            if len(printed) > OUTPUT_LIMIT:
                return None, complaint
    return bytes(printed), complaint


def _kill(process: Popen[bytes]) -> None:
    """Kill it with its whole group: it is not waited for yet, so that its number is still its own."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)


def _end(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"


def _said(complaint: bytes) -> str:
    lines = complaint.decode("utf-8", "replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    shown = _LONG_WORD.sub("[redacted]", "".join(c if c.isprintable() else " " for c in last))
    return f": {shown[:COMPLAINT_LIMIT]}" if shown else ""
