"""docs/capabilities/api.md tells every code that the API can answer, with the status and whether trying again may help."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import fasttrack_api.app  # noqa: F401  every error that the API can raise is loaded
from fasttrack.errors import FastTrackError
from fasttrack_api.problems import STATUS
from fasttrack_api.server import PortTaken

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "capabilities" / "api.md").read_text()
TABLE = PAGE.partition("<!-- codes -->")[2].partition("<!-- /codes -->")[0]
ROWS = {
    code: (status, retry) for code, status, retry in re.findall(r"^\| `(\w+)` \| (\S+) \| (yes|no) \| ", TABLE, re.M)
}
NOT_TOLD = {"ILLEGAL_TRANSITION", PortTaken.code}
"""A bug, which is told as INTERNAL; and one of the start, before anybody can call."""


def kinds(of: type[FastTrackError] = FastTrackError) -> Iterator[type[FastTrackError]]:
    """Every error that is raised on purpose, of the product itself."""
    if of.__module__.partition(".")[0] in ("fasttrack", "fasttrack_api"):
        yield of
    for kind in of.__subclasses__():
        yield from kinds(kind)


def written(node: ast.expr) -> str | None:
    """A code that stands in the source; of an f-string the part before the first brace, with an ellipsis."""
    if isinstance(node, ast.JoinedStr):
        first = node.values[0]
        return f"{first.value}…" if isinstance(first, ast.Constant) else None
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def in_the_source() -> set[str]:
    """Codes of the API's modules: attributes of errors, arguments of `problem`, and answers made by hand."""
    found: set[str | None] = set()
    for module in (ROOT / "services" / "api" / "fasttrack_api").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id == "problem" and len(node.args) > 1:
                    found.add(written(node.args[1]))
                if node.func.id == "LimitExceeded":
                    found.add(written(node.args[0]))
            if isinstance(node, ast.Dict):
                found |= {
                    written(value)
                    for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant) and key.value == "code"
                }
    return {code for code in found if code is not None}


def test_the_page_has_every_code_that_can_be_answered_and_no_other() -> None:
    raised = {kind.code for kind in kinds() if kind.code != "INTERNAL" or kind is FastTrackError} | in_the_source()
    prefixes = {code[:-1] for code in raised if code.endswith("…")}
    assert prefixes == {"HTTP_", "QUERY_TOO_"}
    whole = {code for code in raised if not code.endswith("…")} - NOT_TOLD
    too = set(
        re.findall(r'_exceeded\(\s*"([A-Z]+)"', (ROOT / "services/api/fasttrack_api/graphql/measuring.py").read_text())
    )
    assert set(ROWS) == whole | {f"QUERY_TOO_{what}" for what in too}
    assert "| `HTTP_…` |" in TABLE


def test_the_page_says_with_which_status_and_whether_to_try_again() -> None:
    for kind in kinds():
        if kind.code not in ROWS:
            continue
        status, retry = ROWS[kind.code]
        assert retry == ("yes" if kind.retryable else "no"), kind
        if status != "–":
            of = next((STATUS[base] for base in kind.__mro__ if base in STATUS), 500)
            assert int(status) == of, kind
