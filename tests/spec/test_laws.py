"""Laws that hold for every document, tried on generated ones."""

import json
import random

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fasttrack.errors import InvalidPipeline
from fasttrack.spec import (
    GENERATIONS,
    Document,
    canonical_hash,
    compile_document,
    document_from_json,
    document_json,
    load,
    load_pipeline,
    to_yaml,
)
from fasttrack.spec.source import read_tree

# Any text that a file can hold: no control characters but tab and line breaks, no halves of pairs.
texts = st.text(
    st.characters(
        exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff\ufeff", include_characters="\n\t\r"
    ),
    max_size=40,
).filter(lambda text: "${{" not in text)
lines = st.one_of(
    texts,
    st.sampled_from(
        ["no", "017", "1_000", "12:30:45", "1e3", "0o7", "null", "~", "", " x", "x ", "- a", "a: b", "# c", "a #b", "\n",
         "\na", "a\n\n", "a\n", " a\n b", "a \nb", "a\tb\n\tc", "'", '"', "|", ">", "%", "@", "a\r\nb", "\x85", "\u2028x\ny"]
    ),
)  # fmt: skip
names = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
env_names = st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True).filter(
    lambda n: not n.startswith(("BACKENDAI_", "LD_"))
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False), lines
)
unknown = st.dictionaries(
    st.from_regex(r"x-[a-z]{1,5}", fullmatch=True),
    st.recursive(scalars, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)), max_leaves=5),
    max_size=2,
)  # fmt: skip
envs = st.dictionaries(env_names, lines, max_size=3)


@st.composite
def tasks(draw, name, earlier):
    task = {
        "name": name,
        "description": draw(lines),
        "command": draw(lines.filter(str.strip)),
        "dependencies": draw(st.lists(st.sampled_from(earlier), unique=True, max_size=3)) if earlier else [],
        "skip": draw(st.booleans()),
        "continue_on_failure": draw(st.booleans()),
        "cluster_mode": draw(st.sampled_from(["single-node", "multi-node"])),
        "cluster_size": draw(st.integers(1, 8)),
        "environment": {"image": "i", "envs": draw(envs), **draw(unknown)},
        "resources": {
            "cpu": draw(st.integers(1, 64)),
            "mem": draw(st.sampled_from(["1g", "1024m", "3221225472", "1.5g", "64GiB"])),
            **draw(st.sampled_from([{}, {"cuda.shares": "1.50"}, {"cuda.device": 2}, {"x.y": "3"}])),
        },
        "resource_opts": {"shmem": draw(st.sampled_from(["0g", "64m", "65536k"]))},
        "mounts": draw(st.lists(st.sampled_from(["a", "b:c", "d-1"]), unique=True)),
        "run_if": draw(st.sampled_from(["success", "failure", "always", "any_success"])),
        **draw(unknown),
    }
    if draw(st.booleans()):
        task["retry"] = {"max_attempts": draw(st.integers(1, 5)), "delay": draw(st.integers(0, 3600))}
        task["timeouts"] = {"running": draw(st.integers(1, 3600))}
    return task


@st.composite
def documents(draw) -> Document:
    task_names = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    return document_from_json(
        {
            "name": draw(names),
            "description": draw(lines),
            "ownership": {"scope": draw(st.sampled_from(["user", "project"])), **draw(unknown)},
            "environment": {"envs": draw(envs)},
            "params": [{"name": "x", "default": draw(lines), "description": draw(lines)}],
            "priority": draw(st.integers(-100, 100)),
            **draw(unknown),
            "tasks": [draw(tasks(name, task_names[:index])) for index, name in enumerate(task_names)],
        }
    )


@given(documents(), st.sampled_from(GENERATIONS))
@settings(max_examples=150, deadline=None)
def test_an_export_read_again_is_the_same_document(document, generation):
    text = to_yaml(document, generation)
    again, pipeline, _ = load_pipeline(text)
    assert again.model_copy(update={"version": document.version}) == document
    assert canonical_hash(again) == canonical_hash(document)
    assert pipeline == compile_document(document)
    assert to_yaml(again, generation) == text


@given(documents())
@settings(max_examples=60, deadline=None)
def test_the_product_reads_the_same_texts_with_its_own_loader(document):
    """The product reads YAML 1.1 with PyYAML; what we write must say the same to it."""
    read = yaml.safe_load(to_yaml(document))
    for task, spec in zip(read["tasks"], document.tasks, strict=True):
        assert (task["command"], task["description"]) == (spec.command, spec.description)
        assert task["environment"]["envs"] == spec.environment.envs


@given(documents())
@settings(max_examples=60, deadline=None)
def test_the_stored_form_survives_json(document):
    assert document_from_json(json.loads(json.dumps(document_json(document)))) == document


def shuffled(tree, source):
    if isinstance(tree, dict):
        items = list(tree.items())
        source.shuffle(items)
        return {key: shuffled(value, source) for key, value in items}
    return [shuffled(value, source) for value in tree] if isinstance(tree, list) else tree


@given(documents(), st.integers())
@settings(max_examples=60, deadline=None)
def test_the_order_of_keys_and_the_quotes_do_not_change_the_hash(document, seed):
    tree = shuffled(document_json(document), random.Random(seed))
    as_flow = json.dumps(tree, ensure_ascii=False)  # JSON is YAML in flow style, everything quoted
    for line_break in "\x85\u2028\u2029":  # but YAML breaks lines at these
        as_flow = as_flow.replace(line_break, f"\\u{ord(line_break):04x}")
    assert canonical_hash(load(as_flow).document) == canonical_hash(document)
    assert canonical_hash(document_from_json(tree)) == canonical_hash(document)


@given(documents(), documents())
@settings(max_examples=60, deadline=None)
def test_different_definitions_have_different_hashes(left, right):
    assert (canonical_hash(left) == canonical_hash(right)) == (document_json(left) == document_json(right))


def problems_of(read, text):
    try:
        read(text)
    except InvalidPipeline as error:
        return error.problems
    return None


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200), st.text("[]{}:-,&*!|>'\"#%@` \nab<?", max_size=80)))
@settings(max_examples=400, deadline=None)
def test_any_text_is_read_or_refused(text):
    problems = problems_of(load_pipeline, text)
    assert problems is None or problems


mutations = st.recursive(
    st.one_of(scalars, st.sampled_from(["${{ params.x }}", "4g", "a", "ls", [], {}])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["name", "tasks", "params", "type", "default", "choices", "resources", "cpu", "mem", "envs", "environment",
                 "mounts", "retry", "on", "any_of", "service", "dependencies", "command", "ownership", "domain",
                 "domain_name", "scope", "memory", "resource_opts", "shmem", "concurrency", "timeouts", "image"]
            ), inner, max_size=5,
        ),
    ),
    max_leaves=25,
)  # fmt: skip


@given(
    st.fixed_dictionaries({"name": st.just("p"), "tasks": st.lists(mutations, max_size=3), "params": mutations}),
    mutations,
)
@settings(max_examples=400, deadline=None)
def test_any_tree_is_read_or_refused_in_the_same_words_as_text_and_as_json(tree, more):
    tree = {**(more if isinstance(more, dict) else {}), **tree}
    for read in (load_pipeline, lambda text: document_from_json(json.loads(text))):
        problems = problems_of(read, json.dumps(tree)) or ()
        assert [p for p in problems if not p.message.endswith((".", "?", "}}"))] == []


def test_a_tree_knows_where_everything_stands():
    tree = read_tree("a: 1\nb:\n  - x\n  - {c: y}\n")
    assert isinstance(tree.value, dict)
    b = tree.value["b"]
    assert isinstance(b.value, list)
    entry = b.value[1]
    assert isinstance(entry.value, dict)
    c = entry.value["c"]
    assert (c.line, c.column, c.key_line, c.key_column, c.path) == (4, 9, 4, 6, ("b", 1, "c"))
