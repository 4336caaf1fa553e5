"""logging.yaml as a dict, for programs without PyYAML: logging.config.dictConfig(LOGGING)."""

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": "%(levelname)s %(name)s %(message)s",
            "rename_fields": {"levelname": "level", "name": "logger"},
            "timestamp": True,
        },
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line"},
        "events": {"class": "logging.StreamHandler", "formatter": "json"},
        "alerts": {
            "class": "alertlog.AlertHandler",
            "level": "INFO",
            "alert_level": "CRITICAL",
            "service": "portfolio-etl",
            "subject": "[{service}] {levelname}: {summary}",
            "subjects": {
                "quota": "[ETL] API quota alert",
                "missing_price": "[ETL] Missing price alert",
            },
            "context_lines": 50,
            "repeat_after": 300,
            "quiet_after": 3600,
            "mails_per_hour": 30,
        },
    },
    "loggers": {"alertlog": {"level": "INFO", "handlers": ["events"], "propagate": False}},
    "root": {"level": "INFO", "handlers": ["console", "alerts"]},
}
