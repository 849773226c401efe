"""Applications by the hundred: what their routes ask for is found out once in a test process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import params, routing

_build = routing._build_dependant_with_parameterless_dependencies
_built: dict[tuple[str, Callable[..., Any]], Any] = {}


def find_out_once() -> None:
    """From here on every application shares what FastAPI reads from the signatures of a route: nothing writes to that.

    A test has an application of its own, and each would read those of every route up to the one that is called: a third
    of the time of a test.
    """
    routing._build_dependant_with_parameterless_dependencies = _once


def _once(*, path: str, call: Callable[..., Any], dependencies: Sequence[params.Depends]) -> Any:
    if dependencies:
        return _build(path=path, call=call, dependencies=dependencies)
    if (path, call) not in _built:
        _built[path, call] = _build(path=path, call=call, dependencies=dependencies)
    return _built[path, call]
