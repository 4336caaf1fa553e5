"""Where alerts are kept and under whose name: what the thread that logs reads of the environment.

It has to be cheap, so nothing heavy is imported here: `alertlog.settings` reads the rest, on the courier.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path, PurePath

from alertlog.errors import ConfigError

REDIS_URL = "ALERTLOG_REDIS_URL"
"""The variable that names the server over which hosts share their windows."""
FILE_LIMIT = 65_536
"""Bytes; a file that a `NAME_FILE` names and that is longer holds no setting."""


def variable(name: str, environ: Mapping[str, str]) -> str:
    """Return the value of NAME, or else the content of the file that NAME_FILE names, or else "".

    An empty variable counts as not set: Compose's `${NAME:-}` gives one. One newline at the end of a
    file is not part of the value, because editors and `echo` add one; nothing else is stripped.

    Raises:
        ConfigError: both are set, or the file can't be read; the value and the path are not in the error.
    """
    value = environ.get(name, "")
    path = environ.get(f"{name}_FILE", "").strip()
    if not path:
        return value
    if value:
        raise ConfigError({name: f"is set, and {name}_FILE is set too: one of them has to go"})
    content, problem = _content(path)
    if problem:
        raise ConfigError({name: f"is not readable: {name}_FILE {problem}"})
    return content


def _content(path: str) -> tuple[str, str]:
    """Return the text of a file and "", or "" and what is wrong with it.

    No error leaves here: UnicodeDecodeError carries the whole content, and an OSError the path, in whose
    place someone may have put the secret itself.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return "", "names what is no regular file"
            data = file.read(FILE_LIMIT + 1)
        text = data.decode("utf-8") if len(data) <= FILE_LIMIT else None
    except UnicodeDecodeError:
        return "", "names a file that is not UTF-8 text"
    except (OSError, ValueError) as error:
        return "", f"names a file that can't be read: {getattr(error, 'strerror', None) or 'not a path'}"
    if text is None:
        return "", f"names a file of more than {FILE_LIMIT:,} bytes"
    return text.removesuffix("\r\n") if text.endswith("\r\n") else text.removesuffix("\n"), ""


def _open_at_once(path: str, flags: int) -> int:
    # A FIFO would hold the thread that logs until somebody writes into it.
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def outbox_path(argument: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Path:
    """Return the outbox's file: the argument, else ALERTLOG_OUTBOX, else one in the user's state folder.

    Symbolic links are followed: by two names for one file a process would have two registries of its locks, and POSIX
    locks do not keep a process from itself.

    Raises:
        ConfigError: it is not absolute, or without a home there is no state folder, or the variable is wrong.
    """
    return Path(os.path.realpath(_named(argument, environ)))


def _named(argument: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Path:
    if argument:
        return _absolute("outbox", os.fspath(argument))
    text = variable("ALERTLOG_OUTBOX", environ).strip()
    return _absolute("ALERTLOG_OUTBOX", text) if text else _state_folder() / "alerts.sqlite3"


def _absolute(name: str, text: str) -> Path:
    # Relative to what? A daemon and a command started elsewhere would each have an outbox of their own.
    if "\0" in text or not os.path.isabs(text):
        raise ConfigError({name: "is not an absolute path"})
    return Path(text)


def _state_folder() -> Path:
    from platformdirs import user_state_path

    try:
        folder = user_state_path("alertlog")
    except RuntimeError:  # newer platformdirs; older ones return a path that begins with `~`
        folder = Path()
    if not folder.is_absolute():
        raise ConfigError({"ALERTLOG_OUTBOX": "is not set, and without a home folder has no default"})
    return folder


def service_name(argument: str | None, environ: Mapping[str, str]) -> str:
    """Return the service's name: the handler's argument, else ALERTLOG_SERVICE, else the main program's name.

    Raises:
        ConfigError: ALERTLOG_SERVICE_FILE can't be used.
    """
    if argument and argument.strip():
        return argument.strip()
    return variable("ALERTLOG_SERVICE", environ).strip() or _program()


def environment_name(argument: str | None, environ: Mapping[str, str]) -> str:
    """Return which deployment of the service this is: the handler's argument, else ALERTLOG_ENVIRONMENT, else "".

    Raises:
        ConfigError: ALERTLOG_ENVIRONMENT_FILE can't be used.
    """
    return (argument or "").strip() or variable("ALERTLOG_ENVIRONMENT", environ).strip()


def handler_name(given: str | None, env_prefix: str) -> str:
    """Return the handler's name in the outbox: as `dictConfig` names it, else `alerts`, the name in logging.yaml.

    A handler with variables of its own and no name is another one.
    """
    return given or ("alerts" if env_prefix == "SMTP_" else f"alerts {env_prefix}")


def _program() -> str:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    module = getattr(spec, "name", "").removesuffix("__main__").rstrip(".")  # `python -m package`
    return module or _script(str(next(iter(sys.argv), ""))) or "python"


def _script(path: str) -> str:
    """Return the name of the script that runs, "" for a prompt, standard input or `python -c`."""
    script = PurePath(path)
    stem = script.parent.name if script.stem == "__main__" else script.stem
    return "" if stem in ("-", "-c", "-m") else stem
