"""Airflow: callbacks that mail a failed task, and say that it is over when it succeeds again."""

import logging
from typing import Any

from alertlog import AlertHandler

# A task that is tried once a day is still the same trouble the day after.
alerts = AlertHandler(service="airflow", quiet_after=90_000)
logger = logging.getLogger("airflow_alerts")
logger.setLevel(logging.INFO)
logger.addHandler(alerts)


def failed(context: dict[str, Any]) -> None:
    """For `on_failure_callback`."""
    task = context["task_instance"]
    error = context.get("exception")
    info = error if isinstance(error, BaseException) else None
    logger.critical("Task %s failed", _name(task), exc_info=info, extra=_key(task) | {"try": task.try_number})
    alerts.flush()  # the process of a task ends without what Python does at an exit


def succeeded(context: dict[str, Any]) -> None:
    """For `on_success_callback`: does nothing where no failure is open."""
    task = context["task_instance"]
    logger.info("Task %s succeeded", _name(task), extra=_key(task) | {"resolved": True})
    alerts.flush()


def _name(task: Any) -> str:
    return f"{task.dag_id}.{task.task_id}"


def _key(task: Any) -> dict[str, Any]:
    return {"alert": "task", "alert_key": _name(task)}
