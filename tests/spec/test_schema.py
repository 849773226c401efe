"""The JSON Schema for editors, and the documentation: generated, valid, and true."""

import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from fasttrack.spec import GENERATIONS, json_schema, load, load_pipeline, to_yaml
from fasttrack.spec.editors import as_text

from .files import EXAMPLES, example

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES_OF_THE_PAGE = re.findall(
    r"^```yaml\n(.*?)^```",
    (DOCS / "capabilities" / "pipeline-file.md").read_text(encoding="utf-8"),
    re.DOTALL | re.MULTILINE,
)


def test_the_schema_kept_in_the_documentation_is_the_generated_one():
    assert (DOCS / "pipeline.schema.json").read_text(encoding="utf-8") == as_text()


def test_the_module_prints_it():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "fasttrack.spec.schema"], capture_output=True, text=True, check=True
    )
    assert done.stdout == as_text()


def test_it_is_a_valid_schema_of_2020_12():
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.yaml")))
def test_every_example_and_all_its_exports_satisfy_it(name):
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.validate(yaml.safe_load(example(name)))
    for generation in GENERATIONS:
        validator.validate(yaml.safe_load(to_yaml(load(example(name)).document, generation)))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{name: p, tasks: [{name: a, type: nonsense}]}", ["tasks", 0, "type"]),
        ("{name: p, tasks: [{name: a, retry: {delay: soon}}]}", ["tasks", 0, "retry", "delay"]),
        ("{name: p, tasks: [{name: a, run_if: never}]}", ["tasks", 0, "run_if"]),
        ("{tasks: []}", []),
    ],
)
def test_it_marks_what_is_plainly_wrong(text, path):
    found = list(jsonschema.Draft202012Validator(json_schema()).iter_errors(yaml.safe_load(text)))
    assert path in [list(fault.absolute_path) for fault in found]


@pytest.mark.parametrize("text", EXAMPLES_OF_THE_PAGE, ids=range(len(EXAMPLES_OF_THE_PAGE)))
def test_every_example_of_the_page_loads_without_a_word(text):
    _, _, problems = load_pipeline(text)
    assert problems == ()
    jsonschema.Draft202012Validator(json_schema()).validate(yaml.safe_load(text))


def test_the_page_has_examples():
    assert len(EXAMPLES_OF_THE_PAGE) >= 8
