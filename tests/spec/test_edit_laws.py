"""Laws of edits, tried on generated files in every style that authors write."""

from __future__ import annotations

import json
import random
from typing import Any

import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fasttrack.errors import InvalidInput, InvalidPipeline
from fasttrack.spec import Document, document_from_json, document_json, load, to_yaml
from fasttrack.spec.edit import AddTask, ChangeTask, Connect, DeleteTask, Disconnect, DuplicateTask, Edit, apply
from fasttrack.spec.source import read_tree
from tests.spec.test_laws import documents, envs, lines, names, unknown


@st.composite
def files(draw: Any) -> str:
    """A file with comments, blank lines, brackets and blocks in any mixture; it may end without a line break."""
    tree = document_json(draw(documents()))
    style = random.Random(draw(st.integers(0, 2**32)))
    tasks = tree.pop("tasks")
    indent = style.choice(["", "  ", "    "])
    text = ["# the file", *yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).splitlines(), ""]
    text.append(style.choice(["tasks:", "tasks:  # all of them"]))
    for number, task in enumerate(tasks):
        if style.random() < 0.5:
            text.append("")
        if style.random() < 0.5:
            text.append(f"{indent}# about task {number}")
        if style.random() < 0.1:
            text.append(f"{indent}- {json.dumps(task, ensure_ascii=False)}")
            continue
        mark = "- "
        for key, value in style.sample(list(task.items()), len(task)):
            for line in entry(style, key, value):
                text.append(f"{indent}{mark}{line}" if line else "")
                mark = "  "
            if style.random() < 0.2:
                text.append(f"{indent}  # a note")
    if style.random() < 0.5:
        text += ["x-last:", "  - 1  # kept"]
    end = style.choice(["\n", "\n", "\r\n"])
    return end.join(text) + style.choice([end, end, ""])


def entry(style: random.Random, key: str, value: Any) -> list[str]:
    """The lines of one key of a task."""
    written = style.choice(["json", "block", "brackets"])
    if written == "json" or value in ({}, []):
        return [f"{key}: {json.dumps(value, ensure_ascii=False)}{style.choice(['', '  # why'])}"]
    if isinstance(value, str) and "\n" in value and written == "block" and value.strip("\n ") and "\r" not in value:
        return [f"{key}: |2{style.choice(['', '-', '+'])}", *(f"  {line}" for line in value.split("\n"))]
    if written == "brackets" and isinstance(value, dict | list):
        text = yaml.safe_dump(value, allow_unicode=True, width=10_000, default_flow_style=True, sort_keys=False)
        return f"{key}: {text}".rstrip("\n").split("\n")
    return yaml.safe_dump({key: value}, allow_unicode=True, width=10_000, sort_keys=False).rstrip("\n").split("\n")


def loaded(text: str) -> Document:
    try:
        return load(text).document
    except InvalidPipeline:
        assume(False)
        raise


patches = st.fixed_dictionaries(
    {},
    optional={
        "description": st.one_of(st.none(), lines),
        "command": lines.filter(str.strip),
        "skip": st.one_of(st.none(), st.booleans()),
        "cluster_size": st.integers(1, 8),
        "resources": st.sampled_from([{"cpu": 7}, {"mem": "5g", "x.y": None}, {"cuda.shares": 0.5}, None]),
        "environment": st.fixed_dictionaries({}, optional={"image": lines, "envs": envs, "project": st.none()}),
        "mounts": st.lists(st.sampled_from(["a", "b:c", "new"]), unique=True),
        "retry": st.sampled_from([None, {"max_attempts": 3}, {"delay": "5m", "backoff": 1.5}]),
        "any_of": st.sampled_from([None, [{"resources": {"cuda.device": 1}, "image": "x"}, {"resources": {"x.y": 2}}]]),
    },
)


@st.composite
def edits_of(draw: Any, document: Document) -> Edit:
    have = [task.name for task in document.tasks]
    one, other = draw(st.sampled_from(have)), draw(st.sampled_from(have))
    new = draw(names.filter(lambda name: name not in have))
    change = {**draw(patches), **draw(unknown)}
    return draw(
        st.sampled_from(
            [
                AddTask({"name": new, **change}, after=draw(st.sampled_from([None, one]))),
                AddTask(change),
                ChangeTask(one, change),
                ChangeTask(one, {"name": new, **change}),
                DuplicateTask(one),
                DeleteTask(one),
                Connect(one, other),
                Disconnect(one, other),
            ]
        )
    )


def merged(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        result[key] = merged(result.get(key), value)
    return {key: value for key, value in result.items() if not (key in patch and patch[key] is None)}


def edited(document: Document, edit: Edit, name: str) -> Document:
    """The same edit of the document as a value, written down a second time without any text."""
    tree = document_json(document)
    tasks: list[dict[str, Any]] = tree["tasks"]
    index = {task["name"]: n for n, task in enumerate(tasks)}
    match edit:
        case AddTask(fields, after):
            tasks.insert(len(tasks) if after is None else index[after] + 1, merged({}, {**fields, "name": name}))
        case ChangeTask(task, fields):
            tasks[index[task]] = merged(tasks[index[task]], fields)
            for other in tasks:
                other["dependencies"] = [name if need == task else need for need in other["dependencies"]]
        case DuplicateTask(task):
            tasks.insert(index[task] + 1, {**tasks[index[task]], "name": name})
        case DeleteTask(task):
            del tasks[index[task]]
            for other in tasks:
                other["dependencies"] = [need for need in other["dependencies"] if need != task]
        case Connect(dependency, task):
            needs = tasks[index[task]]["dependencies"]
            tasks[index[task]]["dependencies"] = needs if dependency in needs else [*needs, dependency]
        case Disconnect(dependency, task):
            needs = tasks[index[task]]["dependencies"]
            tasks[index[task]]["dependencies"] = [need for need in needs if need != dependency]
    return document_from_json(tree)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_an_edit_means_what_it_means_for_the_document_and_keeps_every_byte_of_other_tasks(data: Any) -> None:
    text = data.draw(files())
    document = loaded(text)
    edit = data.draw(edits_of(document))
    try:
        result = apply(text, edit)
    except InvalidInput:
        if isinstance(edit, Connect):
            return  # it would close a cycle
        raise
    after = load(result.text).document
    assert after == edited(document, edit, result.task)
    assert read_tree(result.text) == result.root
    if result.rewritten:
        return
    now = {task.name: task for task in after.tasks}
    old, new = stretches(text), stretches(result.text)
    for task in document.tasks:
        if now.get(task.name) == task and task.name != getattr(edit, "task", None):
            assert new[task.name] == old[task.name]
    assert new[None][:-1] == old[None][:-1]


def stretches(text: str) -> dict[str | None, list[str]]:
    """The lines of each task, without what stands between them; under `None` those before the first."""
    root: Any = read_tree(text).value
    items = root["tasks"].value
    if not items:
        return {None: text.splitlines()[: root["tasks"].key_line]}
    all_lines = text.splitlines() if "\u2028" not in text and "\x85" not in text else text.replace("\r", "").split("\n")
    starts = [item.line - 1 for item in items]
    later = [node.key_line - 1 for node in root.values() if node.key_line > root["tasks"].key_line]
    ends = [*starts[1:], later[0] if later else len(all_lines)]
    found: dict[str | None, list[str]] = {None: all_lines[: root["tasks"].key_line]}
    for item, start, end in zip(items, starts, ends, strict=True):
        own = all_lines[start:end]
        while own and (not own[-1].strip() or own[-1].lstrip().startswith("#")):
            own.pop()
        found[item.value["name"].text] = own
    return found


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_task_connected_and_disconnected_means_what_it_meant(data: Any) -> None:
    text = data.draw(files())
    document = loaded(text)
    one = data.draw(st.sampled_from([task.name for task in document.tasks]))
    other = data.draw(st.sampled_from([task.name for task in document.tasks]))
    needs = next(task.dependencies for task in document.tasks if task.name == other)
    try:
        connected = apply(text, Connect(one, other)).text
    except InvalidInput:
        return
    assert one in next(task.dependencies for task in load(connected).document.tasks if task.name == other)
    if one not in needs:
        assert load(apply(connected, Disconnect(one, other)).text).document == document


@given(documents(), st.data())
@settings(max_examples=30, deadline=None)
def test_an_exported_file_is_edited_in_place_whatever_is_done_to_it(document: Document, data: Any) -> None:
    text = to_yaml(document)
    assume(not any(c in text for c in "\x85\u2028\u2029"))
    for _ in range(3):
        edit = data.draw(edits_of(load(text).document))
        try:
            result = apply(text, edit)
        except InvalidInput:
            continue
        assert not result.rewritten
        text = result.text
        if len(load(text).document.tasks) == 0:
            return
