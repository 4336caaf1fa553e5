"""The server's side of XOAUTH2, for `tests.servers.ScriptedServer`: which tokens it takes, how it refuses others."""

from __future__ import annotations

import base64
import json
import threading

from tests.behaviours import Script
from tests.conversation import Conversation

USER = "etl@example.org"
CHALLENGE = {"status": "400", "schemes": "Bearer", "scope": "https://mail.google.com/"}


class Xoauth2:
    """Takes one user's tokens.

    Attributes:
        tokens: those that are good now; a test may change them.
        shown: what clients have shown, in order.
        inline: of each, whether it came with the command, unasked.
    """

    def __init__(self, *tokens: str, refusal: str = "535 5.7.8 not accepted") -> None:
        self.tokens = {*tokens}
        self.shown: list[str] = []
        self.inline: list[bool] = []
        self._refusal = refusal
        self._lock = threading.Lock()

    @property
    def script(self) -> Script:
        return {"EHLO": "250-scripted.example\n250 AUTH LOGIN XOAUTH2", "AUTH": self}

    def __call__(self, conversation: Conversation) -> None:
        words = conversation.heard.split()
        assert words[1] == b"XOAUTH2"
        if len(words) == 2:
            conversation.reply("334 ")
        response = base64.b64decode(words[2] if len(words) > 2 else conversation.read_line()).decode()
        user, bearer, *end = response.split("\1")
        assert (user, end) == (f"user={USER}", ["", ""])
        token = bearer.removeprefix("auth=Bearer ")
        with self._lock:
            self.shown.append(token)
            self.inline.append(len(words) > 2)
        if token in self.tokens:
            conversation.reply("235 2.7.0 accepted")
            return
        conversation.reply(f"334 {base64.b64encode(json.dumps(CHALLENGE).encode()).decode()}")
        nothing = conversation.read_line()
        conversation.reply("501 5.5.2 what is this" if nothing else self._refusal)
