"""Structured logs: one JSON object a line on stderr, with the session where there is one."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any, TextIO

from ..errors import OptionError
from .request_ids import CURRENT

LOGGER = "framestate.server"
LOGGERS = (LOGGER, "uvicorn")
PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message", "taskName"}


class JsonLines(logging.Formatter):
    """A record as one line: time, level, logger, message, what was given as ``extra``, and any traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        request = CURRENT.get("")
        line |= {"request": request} if request else {}
        line |= {key: value for key, value in record.__dict__.items() if key not in PLAIN}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=True)  # a name from outside cannot break the line


def log_to_stderr(level: str, stream: TextIO | None = None, *, file: Path | None = None) -> None:
    """Sends the server's and uvicorn's records to ``file``, or else ``stream`` (stderr), as JSON lines.

    A file that was moved away, as logrotate does, is opened anew. Raises OptionError where it cannot be.
    """
    try:
        handler = logging.StreamHandler(stream or sys.stderr) if file is None else WatchedFileHandler(file)
    except OSError as error:
        raise OptionError(
            f"the log file {file} cannot be opened ({error.strerror})", "Check its folder."
        ) from error
    handler.setFormatter(JsonLines())
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level.upper())
        logger.propagate = False
    logging.getLogger("uvicorn.access").handlers[:] = []
    logging.getLogger("uvicorn.access").propagate = False  # the server writes its own, with the session


def logger() -> logging.Logger:
    """The server's logger."""
    return logging.getLogger(LOGGER)
