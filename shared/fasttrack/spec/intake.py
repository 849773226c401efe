"""From a file's text to a `Document`: read, bring into the newest form, check the types, remember the places.

The two stages (types here, meaning in `compile`) tell their problems together: what is wrong in the first is set aside,
so that the second can look at the rest, and what it says about the parts set aside is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ..domain.pipeline import Pipeline
from ..errors import InvalidPipeline, Problem
from . import values
from .compile import compile_into
from .dialects import KINDS, normalise
from .document import MAX_TASKS, Amounts, Document
from .findings import Findings
from .placeholders import ALLOWED_PLACES
from .source import MAX_DEPTH, Node, Path, read_tree

# Words of other products, and what they are called here.
_SYNONYMS = {
    "depends_on": "dependencies",
    "needs": "dependencies",
    "depends": "dependencies",
    "env": "environment.envs",
    "envs": "environment.envs",
    "image": "environment.image",
    "scaling_group": "scaling-group",
    "resource_group": "scaling-group",
    "retries": "retry",
    "timeout": "timeouts",
    "when": "run_if",
    "script": "command",
    "parameters": "params",
    "steps": "tasks",
    "jobs": "tasks",
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file that could be read."""

    document: Document
    problems: tuple[Problem, ...]
    """Warnings only, in file order."""


def load(text: str | bytes) -> Loaded:
    """Read a pipeline file of any FastTrack generation.

    The document remembers where everything was written, so that later problems can say it too.

    :raises InvalidPipeline: with all problems at once, each with line, column, YAML path and what would be right.
    """
    document, _, findings = _read(text)
    problems = findings.in_file_order()
    if document is None or findings.has_errors:
        raise InvalidPipeline(problems)
    return Loaded(document, problems)


def load_pipeline(text: str | bytes) -> tuple[Document, Pipeline, tuple[Problem, ...]]:
    """Read a pipeline file and compile it; the third part are the warnings of both, in file order.

    :raises InvalidPipeline: with the errors and warnings of both stages, in file order.
    """
    document, damaged, findings = _read(text)
    pipeline = None
    if document is not None:
        pipeline = compile_into(document, findings, damaged)
    problems = findings.in_file_order()
    if document is None or pipeline is None or findings.has_errors:
        raise InvalidPipeline(problems)
    return document, pipeline, problems


def document_from_json(data: Mapping[str, Any]) -> Document:
    """The document that `document_json` gave, or one that a program built in the same form.

    :raises InvalidPipeline: with all problems at once, by path; such a document has no lines.
    """
    findings = Findings()
    if found := unstorable(data):
        raise InvalidPipeline([Problem(found)])
    document, _ = _validate(dict(data), findings)
    if document is None or findings.has_errors:
        raise InvalidPipeline(findings.in_file_order())
    return document


def examine(root: Node) -> tuple[Document | None, Findings]:
    """What a tree that was read says, as far as it can be understood, and all that is wrong with it by both stages.

    The tree is brought into the newest form in place; parts of the document that are wrong have their defaults.
    """
    document, damaged, findings = _interpret(root)
    if document is not None:
        compile_into(document, findings, damaged)
    return document, findings


def _read(text: str | bytes) -> tuple[Document | None, frozenset[Path], Findings]:
    return _interpret(read_tree(text))


def _interpret(root: Node) -> tuple[Document | None, frozenset[Path], Findings]:
    findings = Findings()
    if not isinstance(root.value, dict):
        findings.add(
            [
                Problem(
                    f"{values.shown(root.value)} stands where a pipeline is expected. Begin with `name:`.",
                    "",
                    root.line,
                    root.column,
                )
            ]
        )
        return None, frozenset(), findings
    normalise(root, findings)
    places: dict[Path, Node] = {}
    findings.places = places
    tree = _plain_map(root, Document, (), findings, places)
    document, damaged = _validate(tree, findings)
    if document is not None:
        document.places.update(places)
    return document, damaged, findings


def _plain_map(node: Node, model: type[BaseModel], path: Path, findings: Findings, places: dict[Path, Node]) -> Any:
    """The tree without places, each value as the model wants it: as text where it holds text, or as the value meant."""
    places[path] = node
    if not isinstance(node.value, dict):
        return _native(node)
    shape = _shape(model)
    plain: dict[str, Any] = {}
    for key, child in node.value.items():
        at = (*path, key)
        if key not in shape:
            places[at] = child
            plain[key] = _native(child)
            _warn_unknown(key, at, shape, findings)
        elif not child.is_null:
            plain[key] = _plain(child, shape[key], at, findings, places)
        elif child.key_line:
            places[at] = child
    return plain


def _plain(node: Node, kind: _Kind, path: Path, findings: Findings, places: dict[Path, Node]) -> Any:
    places[path] = node
    if kind.model is not None and not kind.is_list:
        return _plain_map(node, kind.model, path, findings, places)
    if kind.is_list:
        if not isinstance(node.value, list):
            return _native(node)
        if kind.model is not None:
            model = kind.model
            return [_plain_map(item, model, (*path, i), findings, places) for i, item in enumerate(node.value)]
        return [_scalar(item, (*path, i), places) for i, item in enumerate(node.value)]
    if kind.is_map and isinstance(node.value, dict):
        items = node.value.items()
        if kind.keeps_null:
            return {key: "" if child.is_null else _scalar(child, (*path, key), places) for key, child in items}
        return {key: _scalar(child, (*path, key), places) for key, child in items if not child.is_null}
    return node.text if node.text is not None else _native(node)


def _scalar(node: Node, path: Path, places: dict[Path, Node]) -> Any:
    places[path] = node
    return None if node.is_null else node.text if node.text is not None else _native(node)


def _native(node: Node) -> Any:
    match node.value:
        case dict():
            return {key: _native(child) for key, child in node.value.items()}
        case list():
            return [_native(child) for child in node.value]
        case float() if node.value != node.value or node.value in (float("inf"), float("-inf")):
            return node.text  # JSON has no such numbers
        case scalar:
            return scalar


@dataclass(frozen=True, slots=True)
class _Kind:
    """How the values of a field are read."""

    model: type[BaseModel] | None = None
    is_list: bool = False
    is_map: bool = False
    keeps_null: bool = False


@cache
def _shape(model: type[BaseModel]) -> dict[str, _Kind]:
    return {field.alias or name: _kind(field.annotation, field.metadata) for name, field in model.model_fields.items()}


def _kind(annotation: Any, metadata: list[Any]) -> _Kind:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kind(get_args(annotation)[0], [*metadata, *get_args(annotation)[1:]])
    if origin in (Union, UnionType):
        return _kind(next(a for a in get_args(annotation) if a is not type(None)), metadata)
    if origin is list:
        return _Kind(model=_kind(get_args(annotation)[0], []).model, is_list=True)
    if origin is dict:
        amounts = get_args(Amounts)[1]
        return _Kind(is_map=True, keeps_null=amounts not in metadata)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _Kind(model=annotation)
    return _Kind()


def _warn_unknown(key: str, path: Path, shape: Mapping[str, _Kind], findings: Findings) -> None:
    synonym = _SYNONYMS.get(key)
    hint = f" Did you mean `{synonym}`?" if synonym else findings.did_you_mean(key, shape)
    findings.warn(path, f"The key `{key[:80]}` is not known here. It is kept and has no effect.{hint}", at_key=True)


def _validate(tree: dict[str, Any], findings: Findings) -> tuple[Document | None, frozenset[Path]]:
    """The document, and what had to be set aside to make one although parts of the tree are wrong."""
    if isinstance(tree.get("tasks"), list) and len(tree["tasks"]) > MAX_TASKS:
        findings.error(
            ("tasks",), f"There are {len(tree['tasks']):,} tasks; a file may have {MAX_TASKS:,}. Split the pipeline."
        )
        return None, frozenset()
    damaged: set[Path] = set()
    for _ in range(4):
        try:
            return Document.model_validate(tree), frozenset(damaged)
        except ValidationError as error:
            tree = tree if damaged else deepcopy(tree)
            for fault in error.errors(include_url=False):
                path, message = explain(fault, findings)
                findings.error(path, message)
                if any(fault["loc"][: len(wrong)] == wrong for wrong in damaged):
                    continue
                damaged.add(_set_aside(tree, fault["loc"]))
    return None, frozenset(damaged)


def explain(fault: Any, findings: Findings) -> tuple[Path, str]:
    """Where a fault that pydantic found is, and a sentence on what would be right."""
    loc: Path = fault["loc"]
    given = fault["input"]
    if isinstance(given, tuple):
        given = given[1]
    shown = values.shown(given)
    written = f" It holds `{given[:60]}`." if isinstance(given, str) and "${{" in given else ""
    if written:
        return loc, f"A placeholder cannot stand here.{written} {ALLOWED_PLACES}"
    match fault["type"]:
        case "missing":
            return loc[:-1], f"`{loc[-1]}` is missing. Add it."
        case "sentence":
            return loc, fault["ctx"]["sentence"]
        case "string_type":
            return loc, f"{shown} stands where a text is expected. Write one value; quote it if it is a number."
        case "list_type":
            return loc, f"{shown} stands where a list is expected. Put each entry in its own line, after `- `."
        case "dict_type" | "model_type" | "model_attributes_type":
            return loc, f"{shown} stands where a map is expected. Write lines of the form `key: value`."
        case "literal_error" | "enum":
            legal = tuple(re.findall("'([^']+)'", fault["ctx"]["expected"]))
            if loc[0] == "tasks" and loc[-1] == "type":
                legal = tuple(KINDS)
            hint = findings.did_you_mean(given, legal) if isinstance(given, str) else ""
            return loc, f"{shown} is not known here.{hint} Legal are: {', '.join(legal)}."
        case _:
            return loc, f"{fault['msg']}."


def _set_aside(tree: dict[str, Any], loc: Path) -> Path:
    """Take what is wrong out of the tree, with as little around it as possible; gives the path of what was taken."""
    holders: list[Any] = [tree]
    for part in loc[:-1]:
        holders.append(holders[-1][part])
    holder, last = holders[-1], loc[-1]
    if last == "name" and "service" not in loc:
        holder[last] = "_".join(["set_aside", *map(str, loc[:-1])])
    elif isinstance(holder, dict):
        holder.pop(last, None)
    elif loc[-2] in ("tasks", "params", "any_of"):
        # The indexes of the others must stay, so the entry is replaced and not removed.
        holder[last] = {} if loc[-2] == "any_of" else {"name": f"set_aside_{last}"}
    else:
        holders[-2].pop(loc[-2], None)
        return loc[:-1]
    return loc


def unstorable(data: Any) -> str | None:
    """Why a tree from a program could not be stored or written as text, if it could not."""
    waiting = [(data, 0)]
    while waiting:
        item, depth = waiting.pop()
        if isinstance(item, str):
            if "\0" in item or (not item.isascii() and any("\ud800" <= c <= "\udfff" for c in item)):
                return (
                    f"{values.shown(item)} holds a character that cannot be stored: NUL or half of a pair. Remove it."
                )
        elif isinstance(item, dict | list | tuple):
            if depth >= MAX_DEPTH:
                return f"Lists and maps are nested more than {MAX_DEPTH} deep. A pipeline needs five levels."
            if isinstance(item, dict):
                waiting.extend((key, depth + 1) for key in item)
                item = item.values()
            waiting.extend((child, depth + 1) for child in item)
    return None
