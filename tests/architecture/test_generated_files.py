"""Generated pages equal what they are generated from."""

from __future__ import annotations

from pathlib import Path

from fasttrack.domain import states

ROOT = Path(__file__).parents[2]


def test_the_states_page_is_what_the_table_prints() -> None:
    assert (ROOT / "docs" / "states.md").read_text() == states.as_markdown(), "run make states"


def test_every_state_says_what_it_means() -> None:
    page = states.as_markdown()
    for state in [*states.InstanceState, *states.JobState]:
        row = next(line for line in page.splitlines() if line.startswith(f"| `{state}` |"))
        assert len(row.split("|")[2].strip()) > 10, row
