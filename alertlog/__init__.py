"""alertlog: alert-level log records become mail, and the program that logs never notices.

>>> import logging.config
>>> logging.config.dictConfig(
...     {"version": 1, "handlers": {"alerts": {"class": "alertlog.AlertHandler"}}, "root": {"handlers": ["alerts"]}}
... )
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alertlog.handler import AlertHandler

__all__ = ["AlertHandler"]


def __getattr__(name: str) -> Any:
    """Import the handler when somebody wants it: `alertlog.testing` and the commands do without (PEP 562)."""
    if name == "AlertHandler":
        from alertlog.handler import AlertHandler

        return AlertHandler
    if name == "__version__":
        from importlib.metadata import version

        return version("alertlog")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
