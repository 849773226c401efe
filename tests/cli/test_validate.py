"""`fasttrack validate` and `export FILE`: no database, nothing stored."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine
from tests.factories import a_file

DIAMOND = {"a": "", "b": "a", "c": "a", "d": "b c"}


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return path.name


async def test_a_valid_file_is_summed_up_with_its_graph(cli: CommandLine, tmp_path: Path) -> None:
    file = write(tmp_path / "p.yaml", a_file(DIAMOND, _top={"params": [{"name": "lr", "default": "0.1"}]}))
    answer = await cli("validate", file)
    assert answer.code == 0
    assert answer.err == ""
    assert answer.out == (
        "p.yaml: valid: pipeline demo, 4 tasks in 3 layers, at most 2 at once\n"
        "  params   lr (string, 0.1)\n"
        "  ●    a\n"
        "  ├─╮\n"
        "  ● │  b\n"
        "  │ ●  c\n"
        "  ├─╯\n"
        "  ●    d\n"
    )


async def test_json_holds_the_layers_and_no_problems(cli: CommandLine, tmp_path: Path) -> None:
    file = write(tmp_path / "p.yaml", a_file(DIAMOND, a={"command": "echo ${{ secrets.TOKEN }}"}))
    answer = await cli("validate", file, "--json")
    assert answer.code == 0
    assert answer.json == {
        "valid": True,
        "files": [
            {
                "file": "p.yaml",
                "valid": True,
                "pipeline": {
                    "name": "demo",
                    "tasks": 4,
                    "layers": [["a"], ["b", "c"], ["d"]],
                    "params": [],
                    "secrets": ["TOKEN"],
                },
                "problems": [],
            }
        ],
    }


async def test_a_cycle_is_named_with_its_place(cli: CommandLine, tmp_path: Path) -> None:
    file = write(tmp_path / "p.yaml", a_file({"a": "c", "b": "a", "c": "b"}))
    answer = await cli("validate", file)
    assert answer.code == 1
    assert "a → b → c → a" in answer.err or "a → c → b → a" in answer.err
    assert answer.err.startswith("p.yaml:")
    line, column, severity = answer.err.split(":")[1:4]
    assert (line.isdigit(), column.isdigit(), severity.strip()) == (True, True, "error")
    assert answer.out == "p.yaml: not valid: 1 error\n"


async def test_every_problem_is_told_in_json(cli: CommandLine, tmp_path: Path) -> None:
    file = write(
        tmp_path / "p.yaml", "name: demo\ntasks:\n  - {name: a, command: x, dependencies: [z]}\n  - {name: a}\n"
    )
    answer = await cli("validate", file, "--json")
    assert answer.code == 1
    problems = answer.json["files"][0]["problems"]
    assert {p["path"] for p in problems if p["severity"] == "error"} >= {"tasks[0].dependencies[0]", "tasks[1].name"}
    assert all(set(p) == {"severity", "path", "line", "column", "message"} for p in problems)
    assert answer.json["files"][0]["pipeline"] is None


@pytest.mark.parametrize("text", ["{", "", "- a\n- b\n", "\x00", "name: [", "just words"])
async def test_what_is_no_pipeline_is_refused_with_a_place(cli: CommandLine, tmp_path: Path, text: str) -> None:
    file = write(tmp_path / "p.yaml", text)
    answer = await cli("validate", file)
    assert answer.code == 1
    assert answer.err.startswith("p.yaml")
    assert "Traceback" not in answer.err


async def test_all_files_are_looked_at(cli: CommandLine, tmp_path: Path) -> None:
    good, bad = write(tmp_path / "good.yaml", a_file({"a": ""})), write(tmp_path / "bad.yaml", "{")
    answer = await cli("validate", bad, good)
    assert answer.code == 1
    assert "bad.yaml: not valid" in answer.out
    assert "good.yaml: valid" in answer.out


async def test_a_file_that_is_not_there_is_code_3(cli: CommandLine) -> None:
    answer = await cli("validate", "nowhere.yaml")
    assert (answer.code, answer.out, answer.err) == (3, "", "error: there is no file nowhere.yaml\n")


async def test_a_directory_is_code_2(cli: CommandLine, tmp_path: Path) -> None:
    answer = await cli("validate", str(tmp_path))
    assert answer.code == 2
    assert "is a directory" in answer.err


async def test_warnings_count_only_when_strict(cli: CommandLine, tmp_path: Path) -> None:
    file = write(tmp_path / "p.yaml", a_file({"a": ""}, a={"colour": "blue"}))
    lenient, strict = await cli("validate", file), await cli("validate", file, "--strict")
    assert (lenient.code, strict.code) == (0, 1)
    assert "warning: tasks[0].colour" in lenient.err
    assert "not valid, because warnings count" in strict.out


async def test_a_dash_is_standard_input(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(a_file({"a": ""}).encode())))
    answer = await cli("validate", "-")
    assert answer.code == 0
    assert answer.out.startswith("<stdin>: valid: pipeline demo, 1 task in 1 layer")


async def test_a_file_is_brought_into_another_generation(cli: CommandLine, tmp_path: Path) -> None:
    file = write(tmp_path / "p.yaml", a_file({"a": ""}))
    answer = await cli("export", file, "--generation", "25.6", "-o", "old.yaml")
    assert (answer.code, answer.out) == (0, "")
    again = await cli("export", "old.yaml")
    assert again.out == (await cli("export", file)).out


async def test_a_bad_file_is_not_exported(cli: CommandLine, tmp_path: Path) -> None:
    file = write(tmp_path / "p.yaml", "{")
    answer = await cli("export", file, "-o", "out.yaml")
    assert answer.code == 2
    assert not (tmp_path / "out.yaml").exists()
