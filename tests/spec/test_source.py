"""Text from strangers: refused early, with the place, without harm to the process (S37-S44)."""

import subprocess
import sys

import pytest

from fasttrack.errors import InvalidPipeline, Problem
from fasttrack.spec import load
from fasttrack.spec.source import MAX_BYTES, MAX_DEPTH, MAX_NODES, read_tree


def refusal(text: str | bytes) -> Problem:
    with pytest.raises(InvalidPipeline) as caught:
        load(text)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize("opening", ["[", "- ", "{a: "])
def test_deep_nesting_is_refused_at_the_first_level_too_deep(opening):
    problem = refusal(opening * 100_000)
    assert problem.message == "Lists and maps are nested more than 32 deep. A pipeline needs five levels."
    assert (problem.line, problem.column) == (1, 1 + len(opening) * MAX_DEPTH)


@pytest.mark.parametrize("opening", ["[", "- ", "{a: ", "? "])
def test_a_file_that_crashes_the_fast_loader_leaves_this_process_alive(opening):
    code = (
        "import sys; from fasttrack.spec import load; from fasttrack.errors import InvalidPipeline\n"
        "try: load(sys.argv[1] * 30000)\n"
        "except InvalidPipeline as error: print(error.problems[0].line, error.problems[0].column)\n"
        "print('alive')"
    )
    done = subprocess.run([sys.executable, "-c", code, opening], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"1 {3 if opening == '? ' else 1 + 32 * len(opening)}\nalive\n")


def test_nesting_up_to_the_limit_is_read():
    assert read_tree("[" * MAX_DEPTH + "]" * MAX_DEPTH).line == 1


def test_a_merge_bomb_is_refused_at_its_first_anchor():
    bomb = "a0: &a0 {k: v}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 25))
    problem = refusal(bomb)
    assert problem.message == "The anchor `&a0` is not allowed. Write the value out where it is needed."
    assert (problem.line, problem.column) == (1, 5)


def test_billion_laughs_are_refused_at_the_first_anchor():
    laughs = 'a: &a ["lol"]\n' + "".join(
        f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
    )
    assert refusal(laughs).line == 1


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("&a [*a]", "The anchor `&a` is not allowed. Write the value out where it is needed.", (1, 1)),
        ("a: *b", "The alias `*b` is not allowed. Write the value out.", (1, 4)),
        ("a: 1\n<<: {b: 1}", "The merge key `<<` is not allowed. Write the keys out.", (2, 1)),
        (
            "a: !!python/object/apply:os.system ['true']",
            "The tag `tag:yaml.org,2002:python/object/apply:os.system` is not allowed. Remove it; quotes make a text.",
            (1, 4),
        ),
        (
            "a: !!binary aGk=",
            "The tag `tag:yaml.org,2002:binary` is not allowed. Remove it; quotes make a text.",
            (1, 4),
        ),
        ("a: !mine x", "The tag `!mine` is not allowed. Remove it; quotes make a text.", (1, 4)),
        ("a: 1\n---\nb: 1", "A second YAML document starts here. Keep one pipeline in a file.", (2, 1)),
        (
            "name: p\ntasks: []\nname: q",
            "The key `name` stands twice in one map; the first is in line 1. Remove one of them.",
            (3, 1),
        ),
        (
            "{a: {b: 1, b: 2}}",
            "The key `b` stands twice in one map; the first is in line 1. Remove one of them.",
            (1, 12),
        ),
        ("? [a]\n: 1", "A list or a map cannot be a key. Keys are words.", (1, 3)),
        ('"": 1', "A key may not be empty. Write a name before the colon.", (1, 1)),
        ('a: "x\\0y"', "The character NUL may not stand in a pipeline file. Remove it.", (1, 4)),
        ("", "The file is empty. A pipeline needs at least `name` and `tasks`.", (0, 0)),
        ("# only a comment\n", "The file is empty. A pipeline needs at least `name` and `tasks`.", (0, 0)),
        ("- a", "A list stands where a pipeline is expected. Begin with `name:`.", (1, 1)),
    ],
)
def test_what_a_pipeline_never_needs_is_refused_with_its_place(text, message, place):
    problem = refusal(text)
    assert (problem.message, (problem.line, problem.column)) == (message, place)


def test_a_syntax_error_names_its_place():
    problem = refusal("name: p\ntasks:\n  - name: [a\n")
    assert (problem.line, problem.column) == (4, 1)
    assert problem.message.startswith("This is not YAML: did not find expected ',' or ']'.")


def test_a_tab_in_the_indentation_is_a_syntax_error_with_its_place():
    problem = refusal("name: p\ntasks:\n\t- name: a\n")
    assert (problem.line, problem.column) == (3, 1)


def test_text_that_is_not_utf8_is_refused_at_the_byte():
    problem = refusal(b"name: p\ntasks: \xff\xfe")
    assert problem.message == "The file is not UTF-8 text. Save it as UTF-8."
    assert (problem.line, problem.column) == (2, 8)


def test_half_of_a_surrogate_pair_is_refused():
    assert refusal("name: \ud800").column == 7


@pytest.mark.parametrize("character", ["\0", "\x01", "\x1b", "\x7f", "\ufffe"])
def test_control_characters_are_refused_at_their_place(character):
    problem = refusal(f"name: p\ndescription: a{character}b\n")
    assert problem.message.startswith(f"The control character U+{ord(character):04X} may not stand")
    assert (problem.line, problem.column) == (2, 15)


def test_a_byte_order_mark_is_tolerated():
    text = "name: p\ntasks: [{name: a, command: ls, environment: {image: x}}]\n"
    assert load(b"\xef\xbb\xbf" + text.encode()).document == load(text).document == load("\ufeff" + text).document


def test_too_many_bytes_are_refused_before_parsing():
    assert refusal("x" * (MAX_BYTES + 1)).message == (
        "The file has 1,048,577 bytes; at most 1,048,576 are read. Move data out of the file into a folder."
    )
    assert refusal("é" * (MAX_BYTES // 2 + 1)).message.startswith("The file has 1,048,578 bytes;")


def test_too_many_values_are_refused():
    assert refusal("[" + "a," * MAX_NODES + "]").message == "The file has more than 100,000 values. Split the pipeline."


def test_lines_may_end_as_on_windows():
    text = "name: p\r\ntasks:\r\n- name: a\r\n  command: |\r\n    ls\r\n    pwd\r\n"
    assert load(text).document.tasks[0].command == "ls\npwd\n"


def test_ten_thousand_repeated_mistakes_do_not_cost_more_than_the_file():
    text = "name: p\n" + "".join(f"naem{i}: 1\n" for i in range(60_000)) + "tasks: []\n"
    problems = load(text).problems
    assert len(problems) == 201
    assert problems[-1].message == "There are 59800 more problems, not listed here."
