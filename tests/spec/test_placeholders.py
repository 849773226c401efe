"""Placeholders: plain names, filled in one pass, and never shell code."""

import os
import subprocess

import pytest

from fasttrack.domain.pipeline import Mount
from fasttrack.errors import InvalidPipeline, InvalidRun, Severity
from fasttrack.spec import bind_params, fill_task, load_pipeline, secret_names
from fasttrack.spec.shell import Where, locate

PARAMS = (
    "params: [{name: x, default: v}, {name: n, type: integer, default: 3}, {name: b, type: boolean, default: true}]"
)


def pipeline(command: str = "ls", more: str = ""):
    block = "\n".join(f"      {line}" for line in command.split("\n"))
    return load_pipeline(
        f"name: p\n{PARAMS}\ntasks:\n  - name: a\n    command: |-\n{block}\n    environment: {{image: i}}\n{more}"
    )[1]


def problems(command: str):
    with pytest.raises(InvalidPipeline) as caught:
        pipeline(command)
    return [(p.message, p.line, p.column) for p in caught.value.problems]


def filled(command: str, x: str = "v", **secrets: str):
    compiled = pipeline(command)
    return fill_task(compiled.tasks[0], params=bind_params(compiled, {"x": x}), secrets=secrets)


def output(command: str, x: str, *, shell: str = "/bin/sh", **secrets: str) -> str:
    task = filled(command, x, **secrets)
    done = subprocess.run(
        [shell, "-c", task.command], env={"PATH": os.defpath, **task.envs}, capture_output=True, text=True, check=True
    )
    return done.stdout


HOSTILE = [
    '"; touch {dir}/owned #',
    "'; touch {dir}/owned #",
    "`touch {dir}/owned`",
    "$(touch {dir}/owned)",
    "${{IFS}}; touch {dir}/owned",
    "a\ntouch {dir}/owned\n",
    "*",
    "  two  words  ",
    "-n",
    "\\",
    "\\\"\\'",
    "END\ntouch {dir}/owned",
    "${{ secrets.S }} ${{ params.n }}",
    "é\u2028\U0001f600",
    "",
]
SHAPES = [
    ("printf '[%s]' ${{ params.x }}", "[{}]"),
    ('printf "[%s]" "${{ params.x }}"', "[{}]"),
    ("printf '[%s]' pre${{ params.x }}post", "[pre{}post]"),
    ("printf '[%s]' \"pre ${{ params.x }} post\"", "[pre {} post]"),
    ("printf '[%s]' 'quoted'${{params.x}}\"q\"", "[quoted{}q]"),
    ("V=${{ params.x }}; printf '[%s]' \"$V\"", "[{}]"),
    ('printf "[%s]" "$(printf "%s." ${{ params.x }})"', "[{}.]"),
    ('printf "[%s]" "`printf "%s." "${{ params.x }}"`"', "[{}.]"),
    ('printf "[%s]" "${NOTHING:-${{ params.x }}}"', "[{}]"),
    ("# don't ${{ params.x }}\nprintf '[%s]' ${{ params.x }}", "[{}]"),
    ("cat <<END\n[${{ params.x }}]\nEND", "[{}]\n"),
    ("cat <<-END\n\t[${{ params.x }}]\n\tEND\nprintf %s ${{ params.x }}", "[{}]\n{}"),
    ("cat <<A; cat <<'B'\n${{ params.x }} don't\nA\n$x \"\nB\nprintf '[%s]' ${{ params.x }}", "{} don't\n$x \"\n[{}]"),
    ("sh -c 'printf [%s] \"$1\"' sh ${{ params.x }}", "[{}]"),
]


@pytest.mark.parametrize("shell", [s for s in ("/bin/sh", "/bin/bash") if os.path.exists(s)])
@pytest.mark.parametrize("shape", SHAPES, ids=range(len(SHAPES)))
@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_real_shell_sees_a_hostile_value_literally(value, shape, shell, tmp_path):
    command, expected = shape
    value = value.format(dir=tmp_path) if "{dir}" in value else value
    assert output(command, value, shell=shell) == expected.replace("{}", value)
    assert list(tmp_path.iterdir()) == []


def test_a_secret_reaches_a_command_as_a_variable_too(tmp_path):
    assert output("printf '[%s]' ${{ secrets.KEY }}", "v", KEY=f"$(touch {tmp_path}/owned)'\"") == (
        f"[$(touch {tmp_path}/owned)'\"]"
    )
    task = filled("echo ${{ secrets.KEY }}", KEY="k")
    assert task.command == 'echo "${FASTTRACK_SECRET_KEY}"'
    assert task.envs["FASTTRACK_SECRET_KEY"] == "k"


def test_a_number_may_stand_in_arithmetic_and_a_text_may_not():
    assert output("echo $(( ${{ params.n }} * 2 ))", "v") == "6\n"
    assert problems("echo $((1 + ${{ params.x }}))") == [
        (
            "`${{ params.x }}` stands inside $((…)). A shell may read a text there as code. Declare the parameter as an "
            "integer, or move it out.",
            6,
            19,
        )
    ]


@pytest.mark.parametrize(
    ("command", "message", "place"),
    [
        ("ls\necho '${{ params.x }}'", "`${{ params.x }}` stands inside single quotes. A shell expands nothing there. Use "
         "double quotes, or close the single quotes around it.", (7, 13)),
        ("cat <<'E'\n${{ params.x }}\nE", "`${{ params.x }}` stands in a here-document with a quoted delimiter. A shell "
         "expands nothing there. Remove the quotes from the delimiter after `<<`.", (7, 7)),
        ("cat <<\\E\n${{ params.x }}\nE", "`${{ params.x }}` stands in a here-document with a quoted delimiter. A shell "
         "expands nothing there. Remove the quotes from the delimiter after `<<`.", (7, 7)),
        ("echo \\${{ params.x }}", "`${{ params.x }}` stands after a backslash. Remove the backslash.", (6, 13)),
        ('echo "$${{ params.x }}"', "`${{ params.x }}` stands directly after a `$`. Together they would mean something "
         "else to a shell. Write `\\$` for a dollar sign.", (6, 14)),
        ("cat <<${{ params.x }}\nE", "`${{ params.x }}` stands in the delimiter of a here-document. Write a plain word as "
         "the delimiter.", (6, 13)),
        ("echo ${{ params.y }}", "There is no parameter `y`. Declare it under `params`.", (6, 12)),
        ("echo ${{ params.x.y }}", "`${{ params.x.y }}` is not a placeholder. Write `${{ params.NAME }}` or "
         "`${{ secrets.NAME }}`, with a plain name and nothing else.", (6, 12)),
        ("echo ${{ params.x | upper }} é", "`${{ params.x | upper }}` is not a placeholder. Write `${{ params.NAME }}` or "
         "`${{ secrets.NAME }}`, with a plain name and nothing else.", (6, 12)),
        ("echo ${{ github.sha }}", "`${{ github.sha }}` is not a placeholder. Write `${{ params.NAME }}` or "
         "`${{ secrets.NAME }}`, with a plain name and nothing else.", (6, 12)),
        ("echo ${{ ''.__class__ }}", "`${{ ''.__class__ }}` is not a placeholder. Write `${{ params.NAME }}` or "
         "`${{ secrets.NAME }}`, with a plain name and nothing else.", (6, 12)),
        ("echo ${{ params.x", "`${{ params.x` is not a placeholder. Write `${{ params.NAME }}` or `${{ secrets.NAME }}`, "
         "with a plain name and nothing else.", (6, 12)),
    ],
)  # fmt: skip
def test_a_placeholder_that_cannot_stand_there_is_an_error_at_its_place(command, message, place):
    assert problems(command) == [(message, *place)]


@pytest.mark.parametrize(
    ("command", "where"),
    [
        ("@", Where.WORD), ("a @", Where.WORD), ('"@"', Where.QUOTED), ("'@'", Where.SINGLE), ("'a' @", Where.WORD),
        ('"it\'s @"', Where.QUOTED), ("it\\'s @", Where.WORD), ("# it's\n@", Where.WORD), ("a#b'@'", Where.SINGLE),
        ("$# '@'", Where.SINGLE), ("${#a} @", Where.WORD), ("# @", Where.COMMENT), ('"# @"', Where.QUOTED),
        ('"$(echo @)"', Where.WORD), ('"$(echo "@")"', Where.QUOTED), ('"$(echo \'@\')"', Where.SINGLE),
        ('"$(echo ")") @"', Where.QUOTED), ('"${a:-\'@\'}"', Where.QUOTED), ("${a:-'@'}", Where.SINGLE),
        ("${a:-@}", Where.WORD), ("`echo @`", Where.WORD), ('"`echo "@"` @@"', Where.QUOTED), ("$((1+@))", Where.ARITHMETIC),
        ("$(( (1) + 2 )) @", Where.WORD), ("$'it\\'s @'", Where.SINGLE), ("$'a' @", Where.WORD), ("(echo '(') @", Where.WORD),
        ("cat <<E\n@\nE", Where.HEREDOC), ("cat <<E\nit's \"\nE\n@", Where.WORD), ("cat <<'E'\n@\nE", Where.LITERAL_HEREDOC),
        ('cat <<"E"\n\'\nE\n@', Where.WORD), ("cat <<-E\n\t@\n\tE", Where.HEREDOC), ("cat <<E | tr @ x\nE", Where.WORD),
        ("cat <<E\n$(echo '@')\nE", Where.SINGLE), ("cat <<< '@'", Where.SINGLE), ("cat <<E\n@", Where.WORD),
        ("$(cat <<E\n@\nE\n)", Where.HEREDOC), ("echo $((1<<2)) '\n' @", Where.WORD), ('\\"@', Where.WORD), ('"\\"@"', Where.QUOTED),
        ("cat <<E\nE2\n@\nE", Where.HEREDOC), ("cat <<A <<B\n'\nA\n@\nB", Where.HEREDOC), ("a &&# b\n@", Where.WORD),
    ],
)  # fmt: skip
def test_the_scanner_knows_the_quotes_around_a_placeholder(command, where):
    at = command.index("@")
    assert locate(command, [(at, at + 1)])[0].where is where


def test_a_hundred_thousand_unfinished_here_documents_are_scanned():
    command = "cat <<a\n" * 100_000 + "@"
    assert locate(command, [(len(command) - 1, len(command))])[0].where is Where.WORD


def test_deeply_nested_substitutions_are_scanned():
    command = '"$(' * 100_000 + "@"
    assert locate(command, [(len(command) - 1, len(command))])[0].where is Where.WORD
    nested = (
        "".join(f"$(cat <<E{i}\n" for i in range(2000)) + "@\n" + "".join(f"E{i}\n)\n" for i in reversed(range(2000)))
    )
    assert len(locate(nested, [(nested.index("@"), nested.index("@") + 1)])) == 1


@pytest.mark.parametrize(
    "command",
    ['ssh sub1 "run ${{ params.x }}"', 'bash -c "run ${{ params.x }}"', "eval ${{ params.x }}", "sh -ec ${{ params.x }}",
     'cd a && ssh -p 22 sub1 run ${{ params.x }}'],
)  # fmt: skip
def test_a_value_that_a_second_shell_would_read_is_warned_about(command):
    block = f"name: p\n{PARAMS}\ntasks:\n  - name: a\n    command: '{command}'\n    environment: {{image: i}}\n"
    found = load_pipeline(block)[2]
    assert [p.severity for p in found] == [Severity.WARNING]
    assert "becomes part of a text that a second shell reads as code" in found[0].message


@pytest.mark.parametrize(
    "command",
    ["python run.sh -c ${{ params.x }}", "echo ssh; ls ${{ params.x }}", "push -c ${{ params.x }}", "ls ssh ${{ params.x }}",
     "sh -c $CODE sh ${{ params.x }}"],
)  # fmt: skip
def test_an_ordinary_argument_is_not_warned_about(command):
    block = f"name: p\n{PARAMS}\ntasks:\n  - name: a\n    command: '{command}'\n    environment: {{image: i}}\n"
    assert load_pipeline(block)[2] == ()


def test_values_replace_placeholders_outside_commands_in_one_pass():
    more = (
        "    mounts: ['data-${{ params.x }}:in']\n    resources: {cpu: 1}\n"
        "    any_of: [{resources: {cuda.device: 1}, image: 'gpu:${{ params.x }}', envs: {N: '${{ params.n }}'}}]\n"
    )
    text = f"name: p\n{PARAMS}\nenvironment: {{envs: {{E: '<${{{{params.x}}}}${{{{ secrets.S }}}}>', B: '${{{{ params.b }}}}'}}}}\n"
    text += "tasks:\n  - name: a\n    command: ls $HOME ${X:-y}\n"
    text += "    environment: {image: 'py:${{ params.x }}', scaling-group: 'g-${{ params.x }}'}\n" + more
    compiled = load_pipeline(text)[1]
    task = fill_task(
        compiled.tasks[0], params=bind_params(compiled, {"x": "v1"}), secrets={"S": "${{ params.n }}$HOME"}
    )
    assert task.command == "ls $HOME ${X:-y}"
    assert (task.image, task.resource_group, task.mounts) == ("py:v1", "g-v1", (Mount("data-v1", "in"),))
    assert task.envs == {
        "E": "<v1${{ params.n }}$HOME>",
        "B": "true",
        "FASTTRACK_PARAM_x": "v1",
        "FASTTRACK_PARAM_n": "3",
        "FASTTRACK_PARAM_b": "true",
    }
    assert (task.any_of[0].image, task.any_of[0].envs) == ("gpu:v1", {"N": "3"})


def test_a_secret_nobody_has_stays_as_its_literal_text():
    compiled = load_pipeline(
        "name: p\nenvironment: {envs: {K: '${{ secrets.NONE }}'}}\ntasks: [{name: a, command: ls, environment: {image: i}}]"
    )[1]
    assert compiled.secrets == {"NONE"}
    assert secret_names(compiled.tasks[0]) == {"NONE"}
    assert fill_task(compiled.tasks[0], params={}, secrets={}).envs == {"K": "${{ secrets.NONE }}"}


@pytest.mark.parametrize("value", ["a b", "a\nb", "\x1b"])
def test_an_image_with_spaces_is_refused(value):
    compiled = load_pipeline(
        "name: p\nparams: [{name: x}]\ntasks: [{name: a, command: ls, environment: {image: 'i:${{ params.x }}'}}]"
    )[1]
    with pytest.raises(InvalidRun, match="cannot name the image"):
        fill_task(compiled.tasks[0], params={"x": value}, secrets={})


@pytest.mark.parametrize("value", ["../up", "/etc", "..", "", " "])
def test_a_mount_that_leaves_its_place_is_refused(value):
    compiled = load_pipeline(
        "name: p\nparams: [{name: x}]\ntasks: [{name: a, command: ls, environment: {image: i}, mounts: ['${{ params.x }}']}]"
    )[1]
    with pytest.raises(InvalidRun):
        fill_task(compiled.tasks[0], params={"x": value}, secrets={})


def test_mounts_that_meet_only_when_filled_in_are_refused():
    compiled = load_pipeline(
        "name: p\nparams: [{name: x}]\n"
        "tasks: [{name: a, command: ls, environment: {image: i}, mounts: [data, '${{ params.x }}']}]"
    )[1]
    with pytest.raises(InvalidRun, match="two mounts end up at /home/work/data"):
        fill_task(compiled.tasks[0], params={"x": "data"}, secrets={})


def test_a_result_of_more_than_64_kib_is_refused():
    compiled = load_pipeline(
        "name: p\nparams: [{name: x}]\n"
        f"tasks: [{{name: a, command: ls, environment: {{image: i, envs: {{E: '{'${{ params.x }}' * 1000}'}}}}}}]"
    )[1]
    assert len(fill_task(compiled.tasks[0], params={"x": "v" * 65}, secrets={}).envs["E"]) == 65_000
    with pytest.raises(InvalidRun, match="the variable E is longer than 64 KiB"):
        fill_task(compiled.tasks[0], params={"x": "v" * 66}, secrets={})


def test_a_parameter_without_a_value_is_refused_by_name():
    with pytest.raises(InvalidRun, match="The parameter x has no value"):
        fill_task(
            load_pipeline(
                "name: p\nparams: [{name: x}]\ntasks: [{name: a, command: ls, environment: {image: '${{ params.x }}'}}]"
            )[1].tasks[0],
            params={},
            secrets={},
        )


@pytest.mark.parametrize(
    "where",
    [
        "resources: {cpu: '${{ params.n }}'}", "cluster_size: ${{ params.n }}", "skip: ${{ params.b }}",
        "dependencies: ['${{ params.x }}']", "module_uri: ${{ params.x }}", "type: ${{ params.x }}",
        "retry: {delay: '${{ params.n }}'}",
    ],
)  # fmt: skip
def test_a_placeholder_elsewhere_says_where_it_may_stand(where):
    with pytest.raises(InvalidPipeline) as caught:
        pipeline("ls", f"    {where}\n")
    assert "in values of `envs`, in `image`, `scaling-group` and `mounts`" in caught.value.problems[0].message


def test_a_description_is_free_text():
    assert pipeline("ls", "    description: uses ${{ params.whatever }}\n").tasks[0].description.startswith("uses")
