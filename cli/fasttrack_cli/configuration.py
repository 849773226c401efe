"""Reads the settings, and says for each where its value came from."""

from __future__ import annotations

import ast
import inspect
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError

from fasttrack.errors import InvalidInput
from fasttrack.settings import Settings, default_settings_file

from .target import VARIABLES

_PREFIX = "FASTTRACK_"
_OPTIONS = {"state_dir": "--state-dir", "project": "--project", "log_level": "--debug"}
_NOT_SETTINGS = {"FASTTRACK_SETTINGS_FILE", *VARIABLES}


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """One setting as people see it."""

    name: str
    variable: str
    value: Any
    """Ready to show: secrets masked, durations in seconds."""
    source: str
    """`default`, `environment`, `file` or `option`."""
    meaning: str


def load_settings(overrides: Mapping[str, Any]) -> Settings:
    """The settings of this process. :raises InvalidInput: one sentence that names what is not valid, never its value."""
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise InvalidInput("; ".join(_sentence(dict(fault), overrides) for fault in error.errors())) from None
    except SettingsError as error:
        raise InvalidInput(_unreadable(str(error))) from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"the settings file {settings_file()} is not valid TOML: {error}") from None
    except OSError as error:
        raise InvalidInput(f"the settings file {settings_file()} cannot be read: {error.strerror}") from None
    return settings.model_copy(update={"state_dir": settings.state_dir.expanduser().absolute()})


def settings_file() -> Path:
    """Where the settings file is, or would be."""
    return Path(os.environ.get("FASTTRACK_SETTINGS_FILE") or default_settings_file())


def describe_settings(settings: Settings, overrides: Mapping[str, Any]) -> list[SettingInfo]:
    """Every setting in the order of their definition."""
    meanings = _meanings()
    return [
        SettingInfo(
            name, _variable(name), _shown(getattr(settings, name)), _source(name, overrides), meanings.get(name, "")
        )
        for name in Settings.model_fields
    ]


def unknown_names() -> list[str]:
    """`FASTTRACK_…` variables and keys of the file that no setting has: probably misspelt."""
    known = {_variable(name) for name in Settings.model_fields} | _NOT_SETTINGS
    strays = [v for v in sorted(os.environ) if v.upper().startswith(_PREFIX) and v.upper() not in known]
    return strays + [f"{key} in {settings_file()}" for key in _file_values() if key not in Settings.model_fields]


def _variable(name: str) -> str:
    return f"{_PREFIX}{name.upper()}"


def _source(name: str, overrides: Mapping[str, Any]) -> str:
    if name in overrides:
        return "option"
    if any(variable.upper() == _variable(name) for variable in os.environ):
        return "environment"
    return "file" if name in _file_values() else "default"


def _file_values() -> dict[str, Any]:
    try:
        return tomllib.loads(settings_file().read_text())
    except (OSError, ValueError):
        return {}


def _sentence(fault: dict[str, Any], overrides: Mapping[str, Any]) -> str:
    name = str(fault["loc"][0]) if fault["loc"] else "settings"
    match _source(name, overrides):
        case "option":
            place = _OPTIONS.get(name, name)
        case "file":
            place = f"{name} in {settings_file()}"
        case _:
            place = _variable(name)
    # The message only: the input may hold a password.
    message = _clear(fault) or str(fault["msg"]).removeprefix("Value error, ")
    return f"{place} is not valid: {message[:1].lower()}{message[1:]}"


def _clear(fault: dict[str, Any]) -> str:
    """What is wrong in our own words, where those of the library are a programmer's."""
    if fault["type"].startswith("time_delta"):
        return "must be seconds, such as 5 or 0.5, or a duration such as PT5S"
    if fault["type"] == "greater_than_equal" and "timedelta" in fault["msg"]:
        return "must not be negative"
    return ""


def _unreadable(message: str) -> str:
    name = next((name for name in Settings.model_fields if f'"{name}"' in message), "")
    return f"{_variable(name) if name else 'a setting'} is not valid: it must be JSON, such as " + '{"cpu": "4"}'


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        from .servers import masked

        text = value.get_secret_value()
        return masked(text) if "://" in text else "********"
    if hasattr(value, "total_seconds"):
        return value.total_seconds()
    return str(value) if isinstance(value, Path) else value


def _meanings() -> dict[str, str]:
    """The sentence under each setting's definition."""
    body = ast.parse(inspect.getsource(Settings)).body[0]
    assert isinstance(body, ast.ClassDef)
    meanings = {}
    for node, following in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            meanings[node.target.id] = inspect.cleandoc(str(following.value.value))
    return meanings
