"""How a command ended: its exit code as a shell gives it, and words for whoever reads of it at night. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass

NOT_FOUND, NOT_EXECUTABLE, SIGNALLED = 127, 126, 128
"""Exit codes of a shell (POSIX, Shell Command Language, 2.8.2): the last is added to the number of a signal."""

_MEANINGS = {
    NOT_EXECUTABLE: "a command in it can't be executed",
    NOT_FOUND: "a command in it was not found",
}
_OOM = "processes of this container or service that the kernel killed meanwhile for want of memory (OOM): {number}"
_PERHAPS_MEMORY = "sent by hand, at a container's end, or by the kernel for want of memory (OOM)"
"""What is said of SIGKILL where the kernel has counted no such kill, or does not count them."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a command.

    Attributes:
        status: its exit status; below 0, the number of the signal that ended it.
        seconds: wall time from its start to its end.
        memory: bytes, the most that one of its processes had at once; 0 if nobody knows.
        oom_kills: how many processes of this control group the kernel killed for want of memory meanwhile.
        passed_on: the number of the last signal that was passed on to it, 0 if none was.
        overran: whether it was ended because its time was over.
        trouble: why it could not even be started, or "".
    """

    status: int
    seconds: float = 0.0
    memory: int = 0
    oom_kills: int = 0
    passed_on: int = 0
    overran: bool = False
    trouble: str = ""

    @property
    def code(self) -> int:
        """What a shell would give as its exit code."""
        return self.status if self.status >= 0 else SIGNALLED - self.status

    @property
    def failed(self) -> bool:
        return self.status != 0

    @property
    def signal(self) -> str:
        """The name of the signal that ended it, or a part of it whose exit code it took for its own; or ""."""
        return signal_name(self.code - SIGNALLED)

    def words(self, after: str = "") -> str:
        """Return what happened, to follow the command's name; `after` is how long it had run, if that is to be said."""
        if self.trouble:
            return f"could not be started: {self.trouble}"
        what = f"{self._end()} after {after}" if after else self._end()
        why = "; ".join(filter(None, (self._meaning(), self._cause())))
        return f"{what}: {why}" if why else what

    def _end(self) -> str:
        if self.status < 0:
            return f"was killed by {self.signal or f'signal {-self.status}'}"
        return f"failed with exit code {self.status}" if self.failed else "succeeded"

    def _meaning(self) -> str:
        if self.status > 0 and self.signal:
            return f"as shells put it, {self.signal} killed a part of it"
        return _MEANINGS.get(self.status, "")

    def _cause(self) -> str:
        if not self.failed:
            return ""
        if self.overran:
            return "its time was over"
        if self.oom_kills:
            return _OOM.format(number=self.oom_kills)
        if self.passed_on and self.signal == signal_name(self.passed_on):
            return "alertlog was sent that signal and passed it on"
        return _PERHAPS_MEMORY if self.signal == "SIGKILL" else ""


def signal_name(number: int) -> str:
    """Return the name of a signal, such as SIGKILL; "" if there is none of that number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""
