"""`python -m fasttrack.spec.schema` prints the JSON Schema that is kept in `docs/pipeline.schema.json`."""

from __future__ import annotations

import sys

from .editors import as_text

if __name__ == "__main__":
    sys.stdout.write(as_text())
