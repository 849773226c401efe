"""Log lines of a command: to standard error, whatever stands there at that moment."""

from __future__ import annotations

import sys

import structlog

from fasttrack import telemetry, tracing
from fasttrack.settings import Settings


class _StandardError:
    """Looks the stream up at each line: while a live view is shown, lines must appear above it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def set_up_logging(settings: Settings, log_level: str) -> None:
    """Log from `log_level` on, unless the settings name a level; trace, if the environment says where to."""
    named = "log_level" in settings.model_fields_set
    telemetry.set_up_logging(settings.log_level if named else log_level, settings.log_format)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(_StandardError()))  # type: ignore[arg-type]
    tracing.set_up()
