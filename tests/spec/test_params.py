"""What a run may set."""

import pytest

from fasttrack.domain.pipeline import Param
from fasttrack.errors import InvalidPipeline, InvalidRun
from fasttrack.spec import bind_params, load, load_pipeline

FILE = """name: p
params:
  - {name: lr, type: number, default: 0.1}
  - {name: epochs, type: integer}
  - {name: fast, type: boolean, default: no-default}
  - {name: tag, default: 1.10, choices: [1.10, '2']}
tasks: [{name: a, command: ls, environment: {image: i}}]
"""


def compiled():
    return load_pipeline(FILE.replace("default: no-default", "default: 'false'"))[1]


def test_defaults_have_their_types_and_texts_stay_what_was_written():
    assert compiled().params == (
        Param("lr", "number", 0.1),
        Param("epochs", "integer", None),
        Param("fast", "boolean", False),
        Param("tag", "string", "1.10", "", ("1.10", "2")),
    )


def test_given_values_come_over_defaults_and_texts_are_converted():
    assert bind_params(compiled(), {"epochs": "3", "lr": "1e-3", "fast": "true"}) == {
        "lr": 0.001,
        "epochs": 3,
        "fast": True,
        "tag": "1.10",
    }


def test_values_of_their_own_type_are_taken_as_they_are():
    bound = bind_params(compiled(), {"epochs": 3, "lr": 2, "fast": True, "tag": "2"})
    assert bound == {"lr": 2, "epochs": 3, "fast": True, "tag": "2"}
    assert [type(value) for value in bound.values()] == [int, int, bool, str]


def test_every_fault_is_told_at_once():
    with pytest.raises(InvalidRun) as caught:
        bind_params(compiled(), {"lr": "fast", "fast": "yes", "tag": "3", "epoch": 1})
    assert caught.value.message.splitlines() == [
        "`epoch` is not a parameter of this pipeline. Did you mean `epochs`? Its parameters: lr, epochs, fast, tag.",
        "`lr`: 'fast' is not a number. Write one such as 0.1.",
        "`epochs` is missing. Give a value; it is of type integer.",
        "`fast`: 'yes' is neither true nor false. Write one of these two words.",
        "`tag`: '3' is not possible. Choose one of 1.10, 2.",
    ]


@pytest.mark.parametrize(
    "given",
    [
        {"epochs": True}, {"epochs": 1.5}, {"epochs": "1.0"}, {"epochs": "1_0"}, {"epochs": 1, "lr": "nan"},
        {"epochs": 1, "lr": float("inf")}, {"epochs": 1, "lr": True}, {"epochs": 1, "fast": 1}, {"epochs": 1, "tag": 2},
        {"epochs": 1, "tag": "a\0"}, {"epochs": 1, "tag": "x" * 65537},
    ],
)  # fmt: skip
def test_conversion_is_strict(given):
    with pytest.raises(InvalidRun):
        bind_params(compiled(), given)


def test_a_default_of_another_type_is_an_error_at_its_place():
    with pytest.raises(InvalidPipeline) as caught:
        load(FILE)
    (problem,) = caught.value.problems
    assert (problem.path, problem.line, problem.column) == ("params[2].default", 5, 42)


def test_a_default_is_one_of_the_choices():
    with pytest.raises(InvalidPipeline) as caught:
        load_pipeline("name: p\nparams: [{name: a, default: x, choices: [y]}]\ntasks: [{name: a, command: ls}]")
    assert "The default of `a` is none of its choices: y. Choose one of them." in caught.value.message


def test_parameters_have_names_of_their_own():
    with pytest.raises(InvalidPipeline, match="There is a parameter `a` already"):
        load_pipeline("name: p\nparams: [{name: a}, {name: a}]\ntasks: [{name: a, command: ls}]")


@pytest.mark.parametrize("name", ["1a", "a-b", "a b", "é", ""])
def test_a_parameter_name_can_be_part_of_a_variable_name(name):
    with pytest.raises(InvalidPipeline, match="cannot name a parameter"):
        load(f"name: p\nparams: [{{name: '{name}'}}]\ntasks: []")
