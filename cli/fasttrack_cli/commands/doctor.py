"""`fasttrack doctor`: whether everything is here that FastTrack needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exits import NO, OK
from ..invocation import Invocation
from ..output import styled

if TYPE_CHECKING:
    from ..examination import Finding

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


async def doctor(call: Invocation) -> int:
    """Look at everything FastTrack needs on this machine: each line says ok, warn or fail, and what would help.

    Starts and changes nothing. Exit code 1: something fails.

    Example: `fasttrack doctor`
    """
    from ..diagnostics import set_up_logging
    from ..examination import examine

    set_up_logging(call.settings, "error")
    findings: list[Finding] = [finding async for finding in examine(call.settings)]
    if call.out.as_json:
        call.out.document(
            {
                "ok": all(f.level != "fail" for f in findings),
                "findings": [
                    {"about": f.about, "level": f.level, "says": f.says, "remedy": f.remedy} for f in findings
                ],
            }
        )
    else:
        rows = [
            (styled(f.level, _COLOURS[f.level]), f.about, f.says + (f" → {f.remedy}" if f.remedy else ""))
            for f in findings
        ]
        call.out.table(("", "about", "finding"), rows)
    return NO if any(f.level == "fail" for f in findings) else OK
