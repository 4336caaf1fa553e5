"""Where a process's secrets come from: its environment and the files that it names, looked at again and again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import unquote

from alertlog.errors import ConfigError
from alertlog.known import URL
from alertlog.place import variable
from alertlog.secret_names import is_secret_name

NOTHING: Mapping[str, str] = MappingProxyType({})

State = tuple[int, ...]


class _Look(NamedTuple):
    """What was there, and in which state the files were that it names."""

    environ: Mapping[Any, Any]
    files: tuple[str, ...]
    states: tuple[State, ...]
    secrets: tuple[str, ...]


class Surroundings:
    """An environment, and how it was when it was last looked at. Safe to use from several threads."""

    __slots__ = ("_environ", "_is_secret", "_look")

    def __init__(self, environ: Mapping[str, str], is_secret: Callable[[str], bool]) -> None:
        """Looks at nothing yet.

        Args:
            is_secret: whether what is called so is one.
        """
        self._environ = environ
        self._is_secret = is_secret
        self._look = _Look(NOTHING, (), (), ())

    def secrets(self) -> tuple[str, ...]:
        """Return the secrets that are there now. Names and files are read only where something has changed."""
        look = self._look
        now = self._raw()
        states = tuple(map(_state, look.files))
        if now != look.environ or states != look.states:
            environ = {name: self._environ.get(name, "") for name in list(self._environ)}
            files = tuple(value for name, value in environ.items() if _names_file(name, self._is_secret))
            states = tuple(map(_state, files))  # before they are read: what changes meanwhile is read the next time
            self._look = look = _Look(now, files, states, tuple(in_environ(environ, self._is_secret)))
        return look.secrets

    def _raw(self) -> Mapping[Any, Any]:
        """Return a copy of the environment to compare. To decode all of `os.environ` takes ten times as long."""
        inner: Any = getattr(self._environ, "_data", None)
        return dict(inner) if isinstance(inner, dict) else dict(self._environ)


def _state(path: str) -> State:
    """Return what changes where a file is written or replaced."""
    try:
        found = os.stat(path.strip())
    except (OSError, ValueError):
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def in_environ(environ: Mapping[str, str], is_secret: Callable[[str], bool] = is_secret_name) -> Iterator[str]:
    """Yield the values of secret-named variables and of their files, and passwords in URLs."""
    for name in list(environ):
        value = environ.get(name, "")
        if is_secret(name) and name not in ("PWD", "OLDPWD"):
            yield value
            yield value.strip()
        elif _names_file(name, is_secret):
            with suppress(ConfigError):  # whoever needs the file reports it
                value = variable(name.removesuffix("_FILE"), {name: value})
                yield value
                yield value.strip()
        for _start, password in URL.findall(value) if "://" in value else ():
            yield password
            yield unquote(password)


def _names_file(name: str, is_secret: Callable[[str], bool]) -> bool:
    return name.endswith("_FILE") and is_secret(name.removesuffix("_FILE"))
