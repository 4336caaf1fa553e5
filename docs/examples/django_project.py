"""A whole Django project in one file: what `mail_admins` did is alertlog's now."""

from __future__ import annotations

import logging
import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "console": {"class": "logging.StreamHandler"},
        # INFO is context for the mails; ERROR is what Django logs for a request that fails.
        "alerts": {"class": "alertlog.AlertHandler", "level": "INFO", "alert_level": "ERROR", "service": "shop"},
    },
    # Django's own configuration has put mail_admins here; a logger named again gets these handlers in its place.
    "loggers": {"django": {"level": "INFO", "handlers": ["console", "alerts"], "propagate": False}},
    "root": {"level": "INFO", "handlers": ["console", "alerts"]},
}

logger = logging.getLogger("shop.orders")


def fail(request: HttpRequest) -> HttpResponse:
    """What Django logs of an exception is one incident for each place at which it is raised."""
    raise LookupError(f"no order {request.GET['order']}")


def alert(request: HttpRequest) -> HttpResponse:
    """What a program says itself."""
    logger.critical("Payment provider is down", extra={"alert": "payments", "alert_key": request.GET["key"]})
    return HttpResponse(str(os.getpid()))


def health(_request: HttpRequest) -> HttpResponse:
    logger.info("Healthy")
    return HttpResponse(str(os.getpid()))


urlpatterns = [path("fail", fail), path("alert", alert), path("", health)]

settings.configure(
    SECRET_KEY=os.environ["DJANGO_SECRET_KEY"],
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    LOGGING=LOGGING,
)
application = get_wsgi_application()
