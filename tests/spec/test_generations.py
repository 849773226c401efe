"""Every generation of the file loads, means the same, and comes out again."""

import json
import re
from pathlib import Path

import pytest

from fasttrack.domain.pipeline import TaskKind
from fasttrack.errors import InvalidPipeline
from fasttrack.spec import (
    GENERATIONS,
    canonical_hash,
    compile_document,
    document_from_json,
    document_json,
    load,
    load_pipeline,
    to_yaml,
)
from fasttrack.spec.dialects import KINDS

from .files import EXAMPLES, example, one_task

SAME = ("generation-25.6", "generation-25.15", "generation-26.4", "prototype")
ALL = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))


@pytest.mark.parametrize("name", ALL)
def test_an_example_loads_without_a_word(name):
    _, pipeline, problems = load_pipeline(example(name))
    assert problems == ()
    assert len(pipeline.tasks) == 2


def test_one_pipeline_in_four_generations_is_one_pipeline():
    loaded = [load_pipeline(example(name)) for name in SAME]
    assert len({canonical_hash(document) for document, _, _ in loaded}) == 1
    assert all(pipeline == loaded[0][1] for _, pipeline, _ in loaded)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("generation", GENERATIONS)
def test_an_export_in_any_generation_keeps_the_meaning(name, generation):
    document, pipeline, _ = load_pipeline(example(name))
    again, pipeline_again, problems = load_pipeline(to_yaml(document, generation))
    assert problems == ()
    assert again.model_copy(update={"version": document.version}) == document
    assert canonical_hash(again) == canonical_hash(document)
    assert pipeline_again == pipeline


@pytest.mark.parametrize("generation", GENERATIONS)
def test_an_export_is_stable(generation):
    once = to_yaml(load(example("additions")).document, generation)
    assert to_yaml(load(once).document, generation) == once


def test_a_25_6_file_in_canonical_style_comes_out_as_it_went_in():
    text = to_yaml(load(example("generation-25.6")).document, "25.6")
    assert list(load(text).document.model_dump()) == list(load(example("generation-25.6")).document.model_dump())
    head = text.split("tasks:\n")[0]
    assert head == (
        "version: 25.6.5.post2\nname: fine-tune\n"
        "description: Download a model, tune it on one and on two nodes, compare.\n"
        "ownership:\n  domain_name: default\n  scope: personal\n"
        "environment:\n  envs:\n    HF_HOME: /pipeline/vfroot/hf\n"
    )


@pytest.mark.parametrize(
    ("generation", "keys"),
    [
        ("25.6", ["name", "description", "type", "cluster_mode", "cluster_size", "module_uri", "command", "environment",
                  "resources", "resource_opts", "dependencies", "mounts", "skip"]),
        ("25.15", ["name", "description", "type", "cluster_mode", "cluster_size", "module_uri", "environment",
                   "resources", "resource_opts", "dependencies", "mounts", "skip", "command"]),
        ("26.4", ["name", "description", "type", "dependencies", "skip", "continue_on_failure", "cluster_mode",
                  "cluster_size", "module_uri", "environment", "resources", "resource_opts", "mounts", "command"]),
    ],
)  # fmt: skip
def test_the_keys_of_a_task_stand_in_the_order_of_the_generation(generation, keys):
    text = to_yaml(load(example("generation-26.4")).document, generation)
    block = text.split("- name: download")[1].split("- name: tune-multi")[0]
    inner = re.findall(r"^  ([a-z_]+):", block, re.MULTILINE)
    assert ["name", *inner] == keys


def test_the_version_is_kept_within_its_generation_and_replaced_outside():
    document = load(example("generation-25.6")).document
    assert document.version == "25.6.5.post2"
    assert to_yaml(document, "25.6").startswith("version: 25.6.5.post2\n")
    assert to_yaml(document, "26.4").startswith("version: 26.4.4rc6\n")
    assert document_json(document)["version"] == "25.6.5.post2"
    assert "version" not in document_json(load(one_task()).document)


def test_an_unknown_generation_is_refused():
    with pytest.raises(ValueError, match=r"'24.3' is not a generation. Use one of 25.6, 25.15, 26.4."):
        to_yaml(load(one_task()).document, "24.3")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "meaning"),
    [
        ("Custom Task", TaskKind.BATCH), ("default", TaskKind.BATCH), ("custom", TaskKind.BATCH),
        ("serving", TaskKind.SERVICE), ("deployment", TaskKind.SERVICE),
        ("Import from GitHub", TaskKind.IMPORT), ("Import from GitLab", TaskKind.IMPORT),
    ],
)  # fmt: skip
def test_every_name_of_a_kind_is_understood_whatever_the_version(kind, meaning):
    more = f"type: {kind}\nmodule_uri: https://example.com/code.git\nservice: {{name: s}}"
    document = load("version: 24.3\n" + one_task(more)).document
    assert compile_document(document).tasks[0].kind is meaning
    assert kind in KINDS


def test_an_unknown_kind_lists_the_legal_ones():
    with pytest.raises(InvalidPipeline) as caught:
        load(one_task("type: Custom Tusk"))
    (problem,) = caught.value.problems
    assert problem.message == (
        "'Custom Tusk' is not known here. Did you mean `Custom Task`? Legal are: Custom Task, default, custom, serving, "
        "deployment, Import from GitHub, Import from GitLab."
    )
    assert (problem.path, problem.line, problem.column) == ("tasks[0].type", 7, 11)


def test_three_styles_of_text_are_one_command():
    double = '"set -e\\ncd \\"$HOME\\"\\n\\npwd"'
    single = "'set -e\n\n      cd \"$HOME\"\n\n\n      pwd'"
    block = '|-\n      set -e\n      cd "$HOME"\n\n      pwd'
    commands = {
        load(f"name: p\ntasks:\n  - name: a\n    command: {s}\n").document.tasks[0].command for s in (double, block)
    }
    text = f"name: p\ntasks:\n  - name: a\n    command: {single}\n"
    assert commands == {load(text).document.tasks[0].command} == {'set -e\ncd "$HOME"\n\npwd'}


def test_defaults_of_the_prototype_reach_tasks_that_say_nothing_themselves():
    _, pipeline, _ = load_pipeline(
        "name: p\nenvironment: {image: common, scaling-group: gpus}\n"
        "resources: {cpu: 2, memory: 8g, cuda.device: 1}\nmounts: [data]\n"
        "tasks:\n- {name: a, command: ls}\n"
        "- {name: b, command: ls, environment: {image: own}, resources: {cuda.shares: 0.5}, mounts: []}\n"
    )
    a, b = pipeline.tasks
    assert (a.image, a.resource_group, [m.folder for m in a.mounts]) == ("common", "gpus", ["data"])
    assert (b.image, b.resource_group, b.mounts) == ("own", "gpus", ())
    assert {slot: str(amount) for slot, amount in a.resources.slots.items()} == {
        "cpu": "2", "mem": "8589934592", "cuda.device": "1"}  # fmt: skip
    assert {slot: str(amount) for slot, amount in b.resources.slots.items()} == {
        "cpu": "2", "mem": "8589934592", "cuda.shares": "0.5"}  # fmt: skip


def test_a_problem_in_a_common_default_is_told_once_at_its_place():
    with pytest.raises(InvalidPipeline) as caught:
        load_pipeline(
            "name: p\nresources:\n  cpu: 0\nenvironment: {image: i}\n"
            "tasks:\n- {name: a, command: ls}\n- {name: b, command: ls}\n"
        )
    (problem,) = caught.value.problems
    assert (problem.path, problem.line) == ("resources.cpu", 3)


def test_two_names_of_one_thing_that_differ_are_an_error():
    with pytest.raises(InvalidPipeline) as caught:
        load("name: p\nownership: {domain: a, domain_name: b}\ntasks: []\n")
    (problem,) = caught.value.problems
    assert problem.message == "`domain_name` and `domain` mean the same and differ here. Keep one of them."
    assert (problem.line, problem.column) == (2, 24)


def test_missing_lists_are_empty():
    document = load("name: p\nparams:\ntasks:\n- {name: a, command: ls, dependencies: , mounts: ~}\n").document
    assert (document.params, document.tasks[0].dependencies, document.tasks[0].mounts) == ([], [], [])


@pytest.mark.parametrize("generation", GENERATIONS)
def test_unknown_keys_are_kept_through_every_generation(generation):
    text = one_task("colour: {r: [1, 2.5, no, null, 'x']}", top="x-owner: me")
    document = load(text).document
    assert document_json(document)["x-owner"] == "me"
    assert document_json(document)["tasks"][0]["colour"] == {"r": [1, 2.5, "no", None, "x"]}
    assert load(to_yaml(document, generation)).document.tasks == document.tasks


def test_unknown_keys_are_warned_about_with_their_place_and_a_near_word():
    problems = load(one_task("dependecies: []\nneeds: []\nresource_opts: {shmen: 1g}")).problems
    assert [(p.line, p.column, p.path, p.message.split("no effect.")[1]) for p in problems] == [
        (7, 5, "tasks[0].dependecies", " Did you mean `dependencies`?"),
        (8, 5, "tasks[0].needs", " Did you mean `dependencies`?"),
        (9, 21, "tasks[0].resource_opts.shmen", " Did you mean `shmem`?"),
    ]


def test_the_stored_form_is_json_and_comes_back_equal():
    for name in ALL:
        document = load(example(name)).document
        assert document_from_json(json.loads(json.dumps(document_json(document)))) == document


def test_a_document_from_json_reports_all_its_problems_by_path():
    with pytest.raises(InvalidPipeline) as caught:
        document_from_json({"name": "p", "tasks": [{"name": "a b"}, {"name": "c", "resources": {"mem": "4x"}}]})
    assert [(p.path, p.line) for p in caught.value.problems] == [("tasks[0].name", 0), ("tasks[1].resources.mem", 0)]


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_a_document_from_json_refuses_what_cannot_be_stored(text):
    with pytest.raises(InvalidPipeline, match="holds a character that cannot be stored"):
        document_from_json({"name": "p", "x": [{text: 1}]})


def test_a_document_from_json_refuses_bottomless_nesting():
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(InvalidPipeline, match="nested more than 32 deep"):
        document_from_json({"name": "p", "x": deep})


def test_a_document_from_json_leaves_what_it_was_given_unchanged():
    given = {"name": "p", "tasks": [{"name": "a b", "command": 5}]}
    with pytest.raises(InvalidPipeline):
        document_from_json(given)
    assert given == {"name": "p", "tasks": [{"name": "a b", "command": 5}]}


def test_no_example_is_left_out_of_this_folder():
    assert set(SAME) < set(ALL)
    assert Path(EXAMPLES).is_dir()


def test_a_hash_that_is_stored_stays_what_it_was():
    """Versions are compared by hash across releases, so its recipe may not change unseen."""
    assert canonical_hash(load(example("additions")).document) == (
        "0b26dd59207fe7f5855ad51cb6ba1d8f38ab1feb51ebf40959283cdc5607ce7b"
    )
