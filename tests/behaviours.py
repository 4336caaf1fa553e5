"""What the servers of `tests.servers` do at a step instead of a healthy answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tests.conversation import Conversation, HangUp

PATIENCE = 20.0
"""Seconds after which a wait in a test has failed."""

Behaviour = Callable[[Conversation], object]
Step = str | Behaviour
Script = Mapping[str, Step | Sequence[Step]]


def silence(conversation: Conversation) -> None:
    """Never answer, and keep the connection open until the client closes it."""
    while True:
        conversation.read()


def deaf(conversation: Conversation) -> None:
    """Never answer, nor read what comes, so that the client cannot even send for long."""
    conversation.wait(PATIENCE)


def drop(_conversation: Conversation) -> None:
    """Close the connection instead of an answer."""
    raise HangUp


def reset(conversation: Conversation) -> None:
    """Reset the connection instead of an answer."""
    conversation.reset()


def then(*steps: Step) -> Behaviour:
    """One thing after the other."""

    def behave(conversation: Conversation) -> None:
        for step in steps:
            perform(step, conversation)

    return behave


def slowly(step: Step, pace: Callable[[], object]) -> Behaviour:
    """Do it octet by octet; inside TLS those of the TLS records."""

    def behave(conversation: Conversation) -> None:
        conversation.pace = pace
        try:
            perform(step, conversation)
        finally:
            conversation.pace = None

    return behave


def drip(text: str, seconds: float) -> Behaviour:
    """Answer with a pause before each octet."""

    def behave(conversation: Conversation) -> None:
        slowly(text, lambda: conversation.wait(seconds))(conversation)

    return behave


def flood(line: str, size: int) -> Behaviour:
    """Send that many bytes of the same line, or as many as the client takes."""

    def behave(conversation: Conversation) -> None:
        lines = (line + "\r\n").encode() * 4_000
        for _ in range(0, size, len(lines)):
            conversation.send(lines)

    return behave


def dialogue(*replies: str) -> Behaviour:
    """Answer, and answer also the client's next lines, whatever they are."""

    def behave(conversation: Conversation) -> None:
        for number, reply in enumerate(replies):
            if number:
                conversation.read_line()
            conversation.reply(reply)

    return behave


def perform(step: Step, conversation: Conversation) -> None:
    if isinstance(step, str):
        conversation.reply(step)
    else:
        step(conversation)
