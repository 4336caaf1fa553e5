"""How alerts lie in a journal: frames that a reader finds again after whatever damage.

A frame is the mark, the length and the CRC-32 of the payload as unsigned 32-bit big-endian numbers, and the
payload. A write cut short by a full disk leaves a torn frame, after which a reader finds the next one by its mark.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator

MARK = b"\xa1jf1"
OWNER_MARK = b"\xa1jo1"
MAX_PAYLOAD = 8 * 1024 * 1024
"""Bytes; a length above it is damage, not a frame. The largest alert, each character an escape, is two thirds of it."""
READ_AT_ONCE = 256 * 1024
"""Bytes read in one go, so that the work on them is a short unit; a longer frame is read whole."""

_HEAD = struct.Struct("!4sII")


def frame(payload: bytes, mark: bytes = MARK) -> bytes:
    return _HEAD.pack(mark, len(payload), zlib.crc32(payload)) + payload


def frames(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield each whole frame's payload and the offset where it ends; what is damaged between two is passed over."""
    start = data.find(MARK)
    while 0 <= start <= len(data) - _HEAD.size:
        _mark, length, checksum = _HEAD.unpack_from(data, start)
        body = start + _HEAD.size
        end = body + length
        if length <= MAX_PAYLOAD and end <= len(data) and zlib.crc32(payload := data[body:end]) == checksum:
            yield payload, end
            start = data.find(MARK, end)
        else:
            start = data.find(MARK, start + 1)


def first_payload(descriptor: int, mark: bytes) -> bytes | None:
    """Return what the first frame of a file holds, if it has this mark and is whole."""
    head = os.pread(descriptor, _HEAD.size, 0)
    if len(head) < _HEAD.size or not head.startswith(mark):
        return None
    _mark, length, checksum = _HEAD.unpack(head)
    payload = os.pread(descriptor, min(length, MAX_PAYLOAD), _HEAD.size)
    return payload if zlib.crc32(payload) == checksum else None


def read_frames(descriptor: int, offset: int) -> list[tuple[bytes, int]]:
    """Return some whole frames of a file after `offset`, each with the offset where it ends."""
    found, more = _read(descriptor, offset, READ_AT_ONCE)
    while more and not found:  # one frame longer than that, or damage
        found, more = _read(descriptor, offset, READ_AT_ONCE + MAX_PAYLOAD + _HEAD.size)
        offset += READ_AT_ONCE
    return found


def _read(descriptor: int, offset: int, size: int) -> tuple[list[tuple[bytes, int]], bool]:
    """Return the frames among so many bytes, and whether there are as many."""
    data = os.pread(descriptor, size, offset)
    return [(payload, offset + end) for payload, end in frames(data)], len(data) == size
