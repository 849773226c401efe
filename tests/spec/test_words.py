"""Words stay what was written: the typing traps of YAML 1.1, quotes, and the single values."""

import math

import pytest

from fasttrack.spec import load, values
from fasttrack.spec.scalars import resolve

from .files import one_task

TRAPS = [
    "no",
    "on",
    "yes",
    "off",
    "y",
    "true",
    "12:30:45",
    "017",
    "1_000",
    "2024-01-31",
    "1.10",
    "0x1F",
    "1e3",
    "~x",
    ".5",
]


@pytest.mark.parametrize("word", TRAPS)
def test_an_environment_value_is_the_text_that_was_written(word):
    document = load(
        one_task(f"environment: {{envs: {{A: {word}}}}}", command="command: ls").replace(
            "    environment: {image: python}\n", ""
        )
    ).document
    assert document.tasks[0].environment.envs == {"A": word}


@pytest.mark.parametrize("nothing", ["", "null", "~"])
def test_an_empty_environment_value_is_the_empty_text(nothing):
    assert load(one_task(top=f"environment:\n  envs:\n    A: {nothing}\n")).document.environment.envs == {"A": ""}


def test_the_version_and_the_image_are_text():
    document = load("version: 1.10\nname: 007\ntasks:\n- {name: 1, command: 2, environment: {image: 3.10}}\n").document
    assert (document.version, document.name) == ("1.10", "007")
    assert (document.tasks[0].name, document.tasks[0].command, document.tasks[0].environment.image) == (
        "1",
        "2",
        "3.10",
    )


def test_on_is_a_key_like_any_other():
    document = load(one_task("retry: {max_attempts: 2, on: [user]}")).document
    assert document.tasks[0].retry.on == ["user"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("true", True), ("False", False), ("yes", "yes"), ("off", "off"),
        ("12", 12), ("-3", -3), ("017", 17), ("0o17", 15), ("0x1f", 31), ("1_000", "1_000"), ("12:30:45", "12:30:45"),
        ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("-.inf", -math.inf), ("2024-01-31", "2024-01-31"), ("=", "="),
        ("9" * 5000, "9" * 5000), ("-", "-"), ("1.2.3", "1.2.3"),
    ],
)  # fmt: skip
def test_unquoted_words_follow_yaml_1_2(text, value):
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        (90, 90),
        (1.5, 1.5),
        ("90s", 90),
        ("10m", 600),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1d", 86400),
        ("0", 0),
    ],
)
def test_durations(text, seconds):
    assert values.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5", -5, "1 h", "h", "5 minutes", True, None, [], "30m1h", math.inf])
def test_what_is_no_duration_is_refused_with_a_sentence(text):
    with pytest.raises(ValueError, match="duration"):
        values.seconds(text)


@pytest.mark.parametrize("value", [4.5, True, "4.0", "4 cores", "1_000", "", None, "٣", 10**30, "9" * 30])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(ValueError, match="is not a whole number"):
        values.whole_number(value)


def test_quoted_and_unquoted_numbers_and_booleans_are_the_same():
    bare = "cluster_size: 2\nskip: true\nresources: {cpu: 2, mem: 1024, cuda.shares: 1.5}\nretry: {max_attempts: 2, delay: 30}"
    bare = bare.replace("mem: 1024", "mem: 4194304")
    quoted = "cluster_size: '2'\nskip: 'true'\nresources: {cpu: '2', mem: '4m', cuda.shares: \"1.50\"}\n"
    quoted += "retry: {max_attempts: '2', delay: '30s'}\nresource_opts: {shmem: 0g}"
    assert load(one_task(bare)).document == load(one_task(quoted)).document
