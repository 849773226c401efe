"""The example files, and a short way to write a pipeline in a test."""

from pathlib import Path

EXAMPLES = Path(__file__).parent / "examples"


def example(name: str) -> str:
    return (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")


def one_task(more: str = "", *, command: str = "command: 'true'", top: str = "") -> str:
    """A pipeline of one task `a` with more lines in it, and more lines at the top."""
    lines = "\n".join(f"    {line}" if line else "" for line in f"{command}\n{more}".splitlines())
    return f"name: p\n{top}\ntasks:\n  - name: a\n    environment: {{image: python}}\n{lines}\n"
