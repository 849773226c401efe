"""Edits of a file, one task at a time: what changes in the text, and what never does."""

from __future__ import annotations

import difflib

import pytest

from fasttrack.errors import InvalidInput, InvalidPipeline, NotFound
from fasttrack.spec import edit_file, load, to_yaml
from fasttrack.spec.edit import AddTask, ChangeTask, Connect, DeleteTask, Disconnect, DuplicateTask, Edit, apply
from fasttrack.spec.outline import outline
from fasttrack.spec.source import Node, read_tree

FILE = """\
# Tunes a model.
name: tune   # short
environment:
  envs: {HF_HOME: /pipeline/vfroot/hf}

tasks:
  # Gets the weights.
  - name: download
    command: |
      ./get.sh   # not a comment

      echo done

  # Takes an hour.
  - name: train
    dependencies: [download]  # only that
    environment: {image: "ngc:24.09", envs: {EPOCHS: 3}}
    resources:
      cpu: 2   # cores
      mem: 4g
    command: python train.py
    # skip: true

  - name: evaluate
    dependencies:
      - train   # first
      - download
    command: python evaluate.py
params: []
"""


def changes(edit: Edit, text: str = FILE) -> list[str]:
    """The lines that differ after an edit that leaves the file in place."""
    result = apply(text, edit)
    assert not result.rewritten
    return [
        line
        for line in difflib.unified_diff(text.splitlines(), result.text.splitlines(), n=0, lineterm="")
        if not line.startswith(("---", "+++", "@@"))
    ]


def test_a_new_task_stands_last_and_apart_as_the_others_do() -> None:
    added = AddTask({"command": "echo\ndate\n", "name": "report", "dependencies": ["evaluate"]})
    assert changes(added) == [
        "+",
        "+  - name: report",
        "+    dependencies: [evaluate]",
        "+    command: |",
        "+      echo",
        "+      date",
    ]


def test_a_new_task_can_stand_behind_another_and_gets_a_name_that_is_free() -> None:
    first = apply(FILE, AddTask({}, after="download"))
    assert first.task == "task"
    assert "echo done\n\n  - name: task\n\n  # Takes an hour.\n" in first.text
    assert apply(first.text, AddTask({})).task == "task-2"


def test_only_the_values_that_change_are_written() -> None:
    fields = {
        "resources": {"cpu": 4, "cuda.device": 1},
        "environment": {"envs": {"EPOCHS": "5", "LR": "no"}},
        "skip": True,
    }
    assert changes(ChangeTask("train", fields)) == [
        '-    environment: {image: "ngc:24.09", envs: {EPOCHS: 3}}',
        "+    skip: true",
        "+    environment: {image: \"ngc:24.09\", envs: {EPOCHS: '5', LR: 'no'}}",
        "-      cpu: 2   # cores",
        "+      cpu: 4   # cores",
        "+      cuda.device: 1",
    ]


def test_a_value_that_becomes_a_block_keeps_the_comment_of_its_line() -> None:
    text = FILE.replace("command: python train.py", "command: python train.py  # an hour")
    assert changes(ChangeTask("train", {"command": "pip install -r r.txt\npython train.py\n"}), text) == [
        "-    command: python train.py  # an hour",
        "+    command: |  # an hour",
        "+      pip install -r r.txt",
        "+      python train.py",
    ]


def test_null_removes_a_key() -> None:
    assert changes(ChangeTask("train", {"resources": {"mem": None}})) == ["-      mem: 4g"]
    assert changes(ChangeTask("train", {"environment": {"envs": None}})) == [
        '-    environment: {image: "ngc:24.09", envs: {EPOCHS: 3}}',
        '+    environment: {image: "ngc:24.09"}',
    ]


def test_what_a_task_says_already_changes_nothing() -> None:
    assert apply(FILE, ChangeTask("train", {"command": "python train.py", "retry": None})).text == FILE
    assert apply(FILE, Connect("download", "train")).text == FILE
    assert apply(FILE, Disconnect("train", "download")).text == FILE


def test_a_new_name_goes_into_every_dependency() -> None:
    assert changes(ChangeTask("download", {"name": "fetch"})) == [
        "-  - name: download",
        "+  - name: fetch",
        "-    dependencies: [download]  # only that",
        "+    dependencies: [fetch]  # only that",
        "-      - download",
        "+      - fetch",
    ]


def test_a_copy_stands_behind_its_original_under_a_free_name() -> None:
    first = apply(FILE, DuplicateTask("evaluate"))
    assert first.task == "evaluate-2"
    assert apply(first.text, DuplicateTask("evaluate-2")).task == "evaluate-3"
    assert changes(DuplicateTask("evaluate", "judge")) == [
        "+",
        "+  - name: judge",
        "+    dependencies:",
        "+      - train   # first",
        "+      - download",
        "+    command: python evaluate.py",
    ]


def test_a_task_is_deleted_with_its_comment_and_out_of_every_dependency() -> None:
    assert changes(DeleteTask("train")) == [
        "-  # Takes an hour.",
        "-  - name: train",
        "-    dependencies: [download]  # only that",
        '-    environment: {image: "ngc:24.09", envs: {EPOCHS: 3}}',
        "-    resources:",
        "-      cpu: 2   # cores",
        "-      mem: 4g",
        "-    command: python train.py",
        "-    # skip: true",
        "-",
        "-      - train   # first",
    ]


def test_tasks_are_connected_and_disconnected() -> None:
    connected = apply(FILE, Disconnect("download", "evaluate")).text
    assert changes(Connect("download", "evaluate"), connected) == ["+      - download"]
    assert changes(Disconnect("train", "evaluate")) == ["-      - train   # first"]
    alone = apply(apply(FILE, Disconnect("train", "evaluate")).text, Disconnect("download", "evaluate")).text
    assert "  - name: evaluate\n    dependencies: []\n    command" in alone


def test_the_first_task_comes_into_an_empty_file_and_the_last_one_goes_again() -> None:
    added = apply("name: empty  # for now\n", AddTask({"name": "a", "command": "true"})).text
    assert added == "name: empty  # for now\ntasks:\n  - name: a\n    command: 'true'\n"
    emptied = apply(added, DeleteTask("a"))
    assert (emptied.text, emptied.rewritten) == ("name: empty  # for now\ntasks: []\n", False)
    again = apply(emptied.text, AddTask({"name": "b"})).text
    assert again == "name: empty  # for now\ntasks:\n  - name: b\n"


def test_a_file_may_end_without_a_line_break() -> None:
    """The last line of a block is then a text without one, and stays so when it is the last no more."""
    text = "name: x\ntasks:\n  - name: a\n    command: |\n      hello"
    added = apply(text, AddTask({"name": "b", "command": "x"})).text
    assert added == "name: x\ntasks:\n  - name: a\n    command: |-\n      hello\n  - name: b\n    command: x\n"
    assert load(added).document.tasks[0] == load(text).document.tasks[0]


def test_a_blank_line_between_tasks_does_not_become_part_of_a_text_that_keeps_them() -> None:
    text = "name: x\ntasks:\n  - name: a\n    command: x\n\n  - name: b\n    command: |+\n      y\n"
    added = apply(text, AddTask({"name": "c"})).text
    assert added == f"{text}  - name: c\n"
    assert load(added).document.tasks[1].command == "y\n"
    last = text.replace("      y\n", "      y\n    skip: true\n\n") + "  - name: c\n"
    shorter = apply(last, ChangeTask("b", {"skip": None}))
    assert load(shorter.text).document.tasks[1].command == "y\n"


def test_an_edit_that_says_nothing_new_writes_nothing_anew() -> None:
    for text in (
        "name: x\ntasks: [{name: a, command: x}]\n",
        "name: x\nresources: {cpu: 1}\ntasks:\n- name: a\n  command: x\n",
    ):
        result = apply(text, ChangeTask("a", {"command": "x", "retry": None, "name": "a"}))
        assert (result.text, result.rewritten) == (text, False)


def test_lines_end_as_those_of_the_file_do() -> None:
    text = FILE.replace("\n", "\r\n")
    added = apply(text, AddTask({"name": "report", "command": "a\nb"})).text
    assert "\n" not in added.replace("\r\n", "")


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "x", "version": "1.10", "tasks": [{"name": "a", "command": "x"}, {"name": "b", "command": "y"}]}',
        "name: x\nresources: {memory: 2g}\ntasks:\n- {name: a, command: x}\n- name: b\n  command: y\n",
        "name: x\ntasks: [{name: a, command: x}, {name: b, command: y}]  # all\n",
        'name: x\ntasks:\n  - name: a\n    command: x\n  - name: b\n    command: "a\u2028b"\n',
    ],
)
def test_what_cannot_be_edited_where_it_stands_is_written_anew_and_means_the_same(text: str) -> None:
    result = apply(text, Connect("a", "b"))
    assert result.rewritten
    before, after = load(text).document, load(result.text).document
    assert after.tasks[1].dependencies == ["a"]
    after.tasks[1].dependencies = []
    assert after == before
    assert not apply(result.text, Disconnect("a", "b")).rewritten or "\u2028" in text


def test_an_older_generation_is_edited_in_place() -> None:
    for generation in ("25.6", "25.15"):
        text = to_yaml(load(FILE).document, generation)
        result = apply(text, Connect("download", "evaluate"))
        assert not result.rewritten
        assert not apply(text, AddTask({"name": "report", "command": "x"})).rewritten


def test_a_connection_that_would_close_a_cycle_is_refused_with_the_way_round() -> None:
    chain = apply(FILE, Disconnect("download", "evaluate")).text
    with pytest.raises(InvalidInput, match="download → train → evaluate → download; disconnect one of these first"):
        apply(chain, Connect("evaluate", "download"))
    with pytest.raises(InvalidInput, match="`train` cannot wait for itself"):
        apply(FILE, Connect("train", "train"))


@pytest.mark.parametrize(
    ("edit", "error", "says"),
    [
        (ChangeTask("trian", {}), NotFound, "did you mean `train`"),
        (DeleteTask("nobody"), NotFound, "no task `nobody`"),
        (AddTask({}, after="nobody"), NotFound, "no task `nobody`"),
        (Connect("nobody", "train"), NotFound, "no task `nobody`"),
        (AddTask({"name": "train"}), InvalidInput, "already"),
        (AddTask({"name": "a b"}), InvalidInput, "`a-b` would do"),
        (ChangeTask("train", {"name": "download"}), InvalidInput, "already"),
        (ChangeTask("train", {"name": None}), InvalidInput, "cannot be removed"),
        (DuplicateTask("train", "download"), InvalidInput, "already"),
        (ChangeTask("train", {"command": "a\0b"}), InvalidInput, "NUL"),
        (ChangeTask("train", {"x": float("inf")}), InvalidInput, "no such number"),
        (ChangeTask("train", {"x": 10**40}), InvalidInput, "quotes"),
        (ChangeTask("train", {"": 1}), InvalidInput, "1 to 255"),
        (ChangeTask("train", {"command": "x" * 2_000_000}), InvalidInput, "1,048,576"),
        (AddTask([]), InvalidInput, "an object such as"),  # type: ignore[arg-type]
    ],
)
def test_an_edit_that_cannot_be_made_says_why(edit: Edit, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        apply(FILE, edit)


def test_fields_that_are_nested_too_deep_are_refused() -> None:
    deep: object = 1
    for _ in range(40):
        deep = {"k": deep}
    with pytest.raises(InvalidInput, match="nested more than 16 deep"):
        apply(FILE, AddTask({"x": deep}))


def test_a_text_that_is_not_yaml_is_not_edited_and_says_where() -> None:
    with pytest.raises(InvalidPipeline) as raised:
        apply(FILE.replace("mem: 4g", "mem: [4g"), Connect("download", "evaluate"))
    assert raised.value.problems[0].line > 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a\n", "not a map of keys"),
        ("tasks: 3\n", "line 1: `tasks` is not a list"),
        ("tasks:\n- name: a\n- name: b\n  dependencies: a\n", "line 4: tasks\\[1\\].dependencies is not a list"),
        ("tasks:\n- name: a\n- name: b\n- name: b\n", "several tasks have the name `b` \\(lines 3, 4\\)"),
    ],
)
def test_a_text_that_has_no_place_for_the_edit_says_so(text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        apply(text, Connect("a", "b"))


def test_a_draft_with_mistakes_is_edited_all_the_same() -> None:
    text = FILE.replace("mem: 4g", "mem: much").replace("dependencies: [download]", "dependencies: [downlaod]")
    added = apply(text, AddTask({"name": "report", "resources": {"cpu": "lots"}}))
    assert not added.rewritten
    drawn, _ = outline(added.text, "tune", added.root)
    assert [task.name for task in drawn.tasks] == ["download", "train", "evaluate", "report"]
    assert not drawn.is_valid
    places = [(p.line, p.path) for p in drawn.problems if p.severity == "error"]
    lines = added.text.splitlines()
    assert [path for _, path in places] == [
        "tasks[1].dependencies[0]", "tasks[1].resources.mem", "tasks[3]", "tasks[3].resources.cpu",
    ]  # fmt: skip
    for line, path in places:
        assert (path.split(".")[-1].split("[")[0] or "name") in lines[line - 1] or path == "tasks[3]"


def test_an_outline_tells_of_another_name_and_of_text_that_is_no_yaml() -> None:
    drawn, _ = outline(FILE, "other")
    assert [(p.line, p.column, p.path) for p in drawn.problems if p.severity == "error"] == [(2, 7, "name")]
    broken, root = outline("name: [", "x")
    assert (broken.is_readable, broken.tasks, root) == (False, (), None)
    assert [p.line for p in broken.problems] == [2]
    assert drawn.tasks[1].fields["environment"] == {"image": "ngc:24.09", "envs": {"EPOCHS": 3}}
    assert (drawn.tasks[2].dependencies, drawn.tasks[2].line) == (("train", "download"), 24)


def test_an_edit_reads_no_more_than_the_task_it_is_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes an edit of 1,000 tasks cheap: the tree of the rest is moved and not read."""
    text = "name: many\ntasks:\n" + "".join(f"- name: t{n}\n  command: date\n" for n in range(1000))
    root, read = read_tree(text), []

    def reading(text: str) -> Node:
        read.append(text)
        return read_tree(text)

    monkeypatch.setattr(edit_file, "read_tree", reading)
    for edit in (
        ChangeTask("t3", {"command": "pwd"}),
        Connect("t1", "t999"),
        DuplicateTask("t500"),
        AddTask({"name": "new"}, after="t7"),
        DeleteTask("t0"),
        ChangeTask("t1", {"name": "first"}),
    ):
        result = apply(text, edit, root)
        text, root = result.text, result.root
    assert sum(map(len, read)) < 300
    assert read_tree(text) == root
