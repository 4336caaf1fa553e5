"""Whether the kernel kills for want of memory: it counts that for each control group, on Linux."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_KILOBYTE = 1 if sys.platform == "darwin" else 1024
"""Bytes in the unit of `ru_maxrss`, which is the kilobyte but on macOS."""


def oom_kills(root: Path = Path("/")) -> int:
    """Return how many processes of this process's control group were killed so since the group began.

    0 where nobody counts: an older kernel, or another system.

    Args:
        root: where the file system begins.
    """
    return sum(_counted(path) for path in _counters(root))


def _counters(root: Path) -> list[Path]:
    """Return the files to look into: of control groups version 2, whose line has no controllers, and version 1."""
    found = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            found.append(root / "sys/fs/cgroup" / group.lstrip("/") / "memory.events")
        elif "memory" in controllers.split(","):
            found.append(root / "sys/fs/cgroup/memory" / group.lstrip("/") / "memory.oom_control")
    return found


def _counted(path: Path) -> int:
    for line in _text(path).splitlines():
        name, _, number = line.partition(" ")
        if name == "oom_kill" and number.strip().isdecimal():
            return int(number)
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def most_memory(root: Path = Path("/")) -> int:
    """Return the bytes that the largest of this process's ended children had at once, 0 if that says nothing.

    A child begins with what this process has, so the figure can't tell how little a small one needed.
    """
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _KILOBYTE
    return most if most > _own_peak(root) else 0


def _own_peak(root: Path) -> int:
    """Return the bytes that this program had at most. `ru_maxrss` goes back to what started it: it outlives exec."""
    for line in _text(root / "proc/self/status").splitlines():
        name, _, rest = line.partition(":")
        if name == "VmHWM":
            return int(rest.split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILOBYTE
