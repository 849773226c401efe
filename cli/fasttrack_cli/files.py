"""Pipeline files as a command line names them: a path, or `-` for standard input."""

from __future__ import annotations

import sys
from pathlib import Path

from fasttrack.errors import InvalidInput, NotFound

STDIN = "<stdin>"
_MOST_BYTES = 16 * 1024 * 1024  # far above what a pipeline file may have: that is checked, with a sentence, later


def read_file(path: str) -> tuple[str, bytes]:
    """The file's name for messages, and what is in it. :raises NotFound, InvalidInput: it cannot be read."""
    if path == "-":
        return STDIN, sys.stdin.buffer.read(_MOST_BYTES)
    try:
        with Path(path).open("rb") as file:
            return path, file.read(_MOST_BYTES)
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}") from None
    except IsADirectoryError:
        raise InvalidInput(f"{path} is a directory; name a file in it") from None
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def write_file(path: Path, text: str) -> None:
    """Write the file whole. :raises InvalidInput: it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}") from None


def is_file_name(text: str) -> bool:
    """Whether `text` means a file rather than the name of a pipeline."""
    return text == "-" or "/" in text or text.endswith((".yaml", ".yml")) or Path(text).is_file()
