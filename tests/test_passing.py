"""Passing output through, and keeping its last lines: what comes in is what goes out, whatever it is."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from alertlog.passing import CHUNK, LINES_KEPT, Passage, Tail
from tests.test_courier import NO_STACK


def kept(tail: Tail) -> list[str]:
    return [text for _when, _stream, _name, text, _arguments in tail.lines()]


def after(*pieces: bytes) -> list[str]:
    tail = Tail("job")
    for piece in pieces:
        tail.add("stdout", piece)
    return kept(tail)


# The last lines


def test_lines_are_kept_with_the_stream_and_the_name_beside_them() -> None:
    tail = Tail("backup")
    tail.add("stdout", b"one\n")
    tail.add("stderr", b"two\n")
    assert [line[1:] for line in tail.lines()] == [("stdout", "backup", "one", ()), ("stderr", "backup", "two", ())]
    assert all(line[0] > 1_767_225_600 for line in tail.lines())


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ((b"one\ntwo\n",), ["one", "two"]),
        ((b"o", b"ne\nt", b"wo"), ["one", "two"]),
        ((b"\n\n  \none\r\n",), ["one"]),
        ((b"10 %\r20 %\r", b"30 %\r", b"100 %\n"), ["100 %"]),
        ((b"10 %\r20 %",), ["20 %"]),
        (
            (
                b"caf\xc3",
                b"\xa9 \xff\n",
            ),
            ["café \\xff"],
        ),
        ((b"",), []),
    ],
)
def test_a_line_is_what_a_terminal_would_show(pieces: tuple[bytes, ...], lines: list[str]) -> None:
    assert after(*pieces) == lines


def test_a_line_without_an_end_takes_no_more_memory_than_is_shown_of_it() -> None:
    tail = Tail("job")
    for _ in range(100):
        tail.add("stdout", b"x" * CHUNK)
    assert len(tail._begun["stdout"]) < 10_000
    (text,) = kept(tail)
    assert set(text) == {"x"}


def test_to_look_at_a_line_that_has_not_ended_does_not_end_it() -> None:
    tail = Tail("job")
    tail.add("stderr", b"half ")
    assert kept(tail) == ["half "]
    tail.add("stderr", b"and whole\n")
    assert kept(tail) == ["half and whole"]


def test_of_many_lines_the_last_ones_are_kept() -> None:
    lines = [f"line {number}" for number in range(3 * LINES_KEPT)]
    assert after("\n".join(lines).encode(), b"\nlast\n") == [*lines[-LINES_KEPT + 1 :], "last"]


# Through


def filled(pipe: int) -> int:
    """Fill a pipe without waiting for whoever reads from it, and return with how many bytes."""
    os.set_blocking(pipe, False)
    size = 0
    with suppress(BlockingIOError):
        while True:
            size += os.write(pipe, bytes(CHUNK))
    return size


def opened(passage: Passage, stream: str, target: int) -> int:
    write = passage.open(stream, target)
    assert write is not None
    return write


@contextmanager
def passing(tail: Tail) -> Iterator[tuple[int, int, Passage]]:
    """What a command writes to, what its reader reads from, and what is in between."""
    read, target = os.pipe()
    passage = Passage(tail)
    write = opened(passage, "stdout", target)
    try:
        yield write, read, passage
    finally:
        os.close(target)


def test_bytes_pass_as_they_are_and_at_once() -> None:
    with passing(Tail("job")) as (write, read, passage):
        for piece in (b"\x00\xff", b"no line end", b"\r\n"):
            os.write(write, piece)
            assert os.read(read, 100) == piece
        os.close(write)
        passage.close(60)
    os.close(read)
    assert passage.troubles == []


def test_a_slow_reader_gets_all_that_a_command_wrote_before_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alertlog.passing.LINGER", 0.0)
    with passing(Tail("job")) as (write, read, passage):
        size = filled(write)
        closing = threading.Thread(target=passage.close, args=(60,))
        closing.start()  # others still hold the pipe open for writing
        got = 0
        while got < size:
            got += len(os.read(read, 4_096))
        closing.join()
    os.close(write)
    os.close(read)
    assert got == size


def test_what_others_write_after_the_end_is_not_waited_for_any_longer_than_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("alertlog.passing.LINGER", 0.05)
    tail = Tail("job")
    with passing(tail) as (write, read, passage):
        os.write(write, b"its own\n")
        passage.close(60)
        assert os.read(read, 100) == b"its own\n"
    os.close(write)
    os.close(read)
    assert kept(tail) == ["its own"]


def test_the_command_meets_a_broken_pipe_where_nobody_reads() -> None:
    with passing(Tail("job")) as (write, read, passage):
        os.close(read)
        os.write(write, b"unread")
        with suppress(BrokenPipeError):
            while True:
                os.write(write, b"more")
        os.close(write)
        passage.close(60)
    assert passage.troubles == []


def test_a_full_disk_is_told_and_the_command_goes_on() -> None:
    tail = Tail("job")
    passage = Passage(tail)
    full = os.open("/dev/full", os.O_WRONLY)
    write = opened(passage, "stderr", full)
    for piece in (b"one\n", bytes(4 * CHUNK), b"\ntwo\n"):
        os.write(write, piece)
    os.close(write)
    passage.close(60)
    os.close(full)
    assert passage.troubles == ["stderr can't be passed on: No space left on device"]
    assert kept(tail)[-1] == "two"


def test_a_target_that_others_have_set_not_to_block_is_waited_for() -> None:
    read, target = os.pipe()
    size = filled(target)
    passage = Passage(Tail("job"))
    write = opened(passage, "stdout", target)
    os.write(write, b"and more")
    os.close(write)
    closing = threading.Thread(target=passage.close, args=(60,))
    closing.start()
    got = b""
    while len(got) < size + len(b"and more"):
        got += os.read(read, CHUNK)
    closing.join()
    os.close(read)
    os.close(target)
    assert got.endswith(b"and more")


# Where there is no room for that


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_without_a_thread_nothing_is_opened_and_it_is_said() -> None:
    passage, before = Passage(Tail("job")), descriptors()
    stack = threading.stack_size(NO_STACK)
    try:
        assert passage.open("stdout", 1) is None
    finally:
        threading.stack_size(stack)
    passage.close(60)
    assert descriptors() == before
    assert passage.troubles == ["stdout is in no mail, as it can't be read along: can't start new thread"]


@pytest.mark.parametrize("free", [0, 2, 3])
def test_without_a_file_descriptor_nothing_is_opened_and_it_is_said(free: int) -> None:
    passage, before = Passage(Tail("job")), descriptors()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = [os.open(os.devnull, os.O_RDONLY) for _ in range(free)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free(), limits[1]))
    for one in spare:
        os.close(one)
    try:
        assert passage.open("stderr", 2) is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    passage.close(60)
    assert descriptors() == before
    (trouble,) = passage.troubles
    assert "Too many open files" in trouble


def lowest_free() -> int:
    number = os.open(os.devnull, os.O_RDONLY)
    os.close(number)
    return number
