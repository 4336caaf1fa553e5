"""Names and addresses of hosts as the environment gives them: no scheme, no port, and whether they are this machine."""

from __future__ import annotations

import ipaddress
import re

from alertlog.mailbox import UNPRINTABLE, ascii_domain


def host(text: str) -> str:
    """Return the name in ASCII, or the address without brackets. Raises ValueError for anything else."""
    # The text is in no error: `smtp://user:password@host` is a common mistake.
    if UNPRINTABLE.search(text) or re.search(r"\s", text):
        raise ValueError("holds a line break, a space or a control character")
    if "://" in text:
        raise ValueError("has a scheme; give the name or the address alone")
    bare = text.removeprefix("[").removesuffix("]") if text.startswith("[") else text
    if _ip(bare) is not None:
        return bare
    if ":" in text:
        raise ValueError("has a port; that is a variable of its own")
    name = text.removesuffix(".")
    if name.rpartition(".")[2].isdecimal():
        raise ValueError("is neither a name nor an address")
    return ascii_domain(name) + text[len(name) :]


def is_loopback(host: str) -> bool:
    """Whether a name or an address says by itself that it is this machine (RFC 6761 section 6.3)."""
    address = _ip(host)
    if address is not None:
        mapped = getattr(address, "ipv4_mapped", None)  # Python 3.11 does not look into it
        return (mapped or address).is_loopback
    name = host.removesuffix(".").lower()
    return name == "localhost" or name.endswith(".localhost")


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text) if text.isascii() else None
    except ValueError:
        return None
