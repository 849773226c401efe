"""Compare what there is with what was released, or take it as released.

python -m contracts                    what has changed; exit code 1 if a client would break
python -m contracts release VERSION    take what there is as the contract of that version, if nothing would break
python -m contracts baseline           before the first release: take what there is, whatever it breaks
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from . import graphql_changes, openapi_changes
from .deprecation import Change


@dataclass(frozen=True)
class Contract:
    """The tree that a contract is kept in."""

    root: Path

    @property
    def released(self) -> dict[str, Any]:
        """`version` (`null` before the first release) and `date`."""
        made: dict[str, Any] = json.loads((self.root / "contracts" / "released.json").read_text())
        return made

    def changes(self, today: date) -> list[Change]:
        """What has changed since the contract was taken, and what in it is not as it has to be."""
        kept = self.root / "contracts"
        since = date.fromisoformat(self.released["date"])
        schemas = [(folder / "schema.graphql").read_text() for folder in (kept, self.root)]
        texts = [path.read_text() for path in (kept / "openapi.json", self.root / "docs" / "openapi.json")]
        before, now = (json.loads(text) for text in texts)
        return [
            *graphql_changes.changes(schemas[0], schemas[1], since, today),
            *openapi_changes.changes(before, now, since, today),
        ]

    def take(self, version: str | None, today: date) -> None:
        """Keep what there is now as the contract."""
        kept = self.root / "contracts"
        (kept / "schema.graphql").write_text((self.root / "schema.graphql").read_text())
        (kept / "openapi.json").write_text((self.root / "docs" / "openapi.json").read_text())
        released = {"version": version, "date": today.isoformat()}
        (kept / "released.json").write_text(json.dumps(released, indent=2) + "\n")


def main(arguments: Sequence[str], contract: Contract, today: date) -> str | None:
    """Carry out a command; why not, or `None`."""
    changes = contract.changes(today)
    for change in changes:
        print(change if change.is_breaking else f"notice: {change}")
    broken = [change for change in changes if change.is_breaking]
    match arguments:
        case []:
            return f"{len(broken)} changes would break a client: docs/how-to/change-the-api.md" if broken else None
        case ["baseline"] if contract.released["version"] is None:
            contract.take(None, today)
            return None
        case ["baseline"]:
            return f"{contract.released['version']} is released: what it promised holds"
        case ["release", version] if re.fullmatch(r"\d+\.\d+\.\d+", version):
            if broken:
                return "nothing was taken: it would break clients"
            if f"\n## {version} – {today}" not in (contract.root / "CHANGELOG.md").read_text():
                return f"nothing was taken: CHANGELOG.md has no heading `## {version} – {today}`"
            contract.take(version, today)
            return None
        case _:
            return __doc__


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Contract(Path(__file__).parents[1]), datetime.now(UTC).date()))
