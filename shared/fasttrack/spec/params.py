"""The parameters of a run: what was given, checked against what the pipeline declares."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from ..domain.pipeline import Param, Pipeline
from ..errors import InvalidRun
from .values import Value, param_value, render

_MOST_IN_A_SENTENCE = 8


def bind_params(pipeline: Pipeline, given: Mapping[str, Value]) -> dict[str, Value]:
    """The value of every parameter, in the order of the file, defaults filled in, each of its declared type.

    A text is converted strictly, as a command line gives it: `"0.1"` for a number, `"true"` for a boolean.

    :raises InvalidRun: naming every parameter that is unknown, missing, of another type or none of its choices.
    """
    declared = {param.name: param for param in pipeline.params}
    faults = [_unknown(name, declared) for name in given if name not in declared]
    bound: dict[str, Value] = {}
    for param in pipeline.params:
        if param.name not in given:
            if param.default is None:
                faults.append(f"`{param.name}` is missing. Give a value; it is of type {param.type}.")
            else:
                bound[param.name] = param.default
            continue
        try:
            value = param_value(param.type, given[param.name])
        except ValueError as error:
            faults.append(f"`{param.name}`: {error}")
            continue
        if param.choices and value not in param.choices:
            faults.append(f"`{param.name}`: {render(value)[:40]!r} is not possible. Choose one of {_shown(param)}.")
        bound[param.name] = value
    if faults:
        raise InvalidRun("\n".join(faults), faults=tuple(faults))
    return bound


def _unknown(name: str, declared: Mapping[str, Param]) -> str:
    close = get_close_matches(name[:64], declared, n=1, cutoff=0.6)
    hint = f" Did you mean `{close[0]}`?" if close else ""
    known = ", ".join(list(declared)[:_MOST_IN_A_SENTENCE]) or "none"
    return f"`{name[:80]}` is not a parameter of this pipeline.{hint} Its parameters: {known}."


def _shown(param: Param) -> str:
    shown = ", ".join(render(choice)[:40] for choice in param.choices[:_MOST_IN_A_SENTENCE])
    return f"{shown}, …" if len(param.choices) > _MOST_IN_A_SENTENCE else shown
