"""A shell that knows one program, `fasttrack`, and keeps it loaded: a page of commands takes seconds, not a minute.

Run as a program of its own, in the folder where the commands are to work. Reads the blocks of a page from standard
input as JSON, saves files, carries out commands, and prints what the last command of each block printed, as JSON. It
knows `fasttrack …`, `name=$(fasttrack …)`, `echo "…" | fasttrack …` and `$name`, and ends at the first that fails.
"""

from __future__ import annotations

import io
import json
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from fasttrack_cli.app import run

LINE = re.compile(r"(?:(?P<name>\w+)=\$\()?(?:echo (?P<said>.+?) \| )?fasttrack (?P<args>.+?)\)?$")


def command(line: str, variables: Mapping[str, str]) -> tuple[str | None, str]:
    """Carry out one line: the variable it sets, if any, and what it printed."""
    found = LINE.match(re.sub(r"\$(\w+)", lambda m: variables[m[1]], line))
    assert found is not None, f"this shell cannot read: {line}"
    said = "".join(f"{word}\n" for word in shlex.split(found["said"] or ""))
    sys.stdin = io.TextIOWrapper(io.BytesIO(said.encode()))
    sys.stdout = printed = io.TextIOWrapper(io.BytesIO(), write_through=True)
    try:
        code = run(shlex.split(found["args"]))
    finally:
        sys.stdin, sys.stdout = sys.__stdin__, sys.__stdout__
    output = printed.buffer.getvalue().decode()
    if code:
        sys.exit(f"`{line}` ended with exit code {code}\n{output}")
    return found["name"], output


def main() -> None:
    variables: dict[str, str] = {}
    outputs = []
    for block in json.load(sys.stdin):
        output = ""
        if block["kind"] == "yaml":
            Path(block["file"]).write_text(block["text"])
        for line in block["text"].splitlines() if block["kind"] == "sh" else ():
            name, output = command(line, variables)
            if name is not None:
                variables[name] = output.strip()
        outputs.append(output)
    json.dump(outputs, sys.stdout)


if __name__ == "__main__":
    main()
