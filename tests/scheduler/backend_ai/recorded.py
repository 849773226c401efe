"""What real managers of two generations answered, as it was recorded."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

GENERATIONS = ("23.09.10", "26.9.6")


@lru_cache
def recorded(release: str) -> dict[str, Any]:
    """`root`: the answer to `GET /`; `sessions`: records by what was done; `refusals`: status and body of each mistake;
    `capacity`: what `POST /resource/check-presets` told."""
    path = Path(__file__).with_name(f"recorded_{release.replace('.', '_')}.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found
