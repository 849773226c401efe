"""`fasttrack settings`: every setting, its value and where that came from."""

from __future__ import annotations

from ..exits import OK
from ..invocation import Invocation
from ..output import styled


def settings(call: Invocation) -> int:
    """Show every setting with its value, where that came from, and what it means. Secrets are masked.

    A setting `x` is given by the variable `FASTTRACK_X`, or by a line `x = …` in the settings file; the variable
    counts more. Durations are seconds.

    Example: `FASTTRACK_RECONCILE_INTERVAL=0.2 fasttrack settings`
    """
    from ..configuration import describe_settings, settings_file, unknown_names

    infos = describe_settings(call.settings, call.overrides)
    file, strays = settings_file(), unknown_names()
    if call.out.as_json:
        call.out.document(
            {
                "file": file,
                "file_exists": file.is_file(),
                "settings": [
                    {"name": i.name, "variable": i.variable, "value": i.value, "source": i.source, "meaning": i.meaning}
                    for i in infos
                ],
                "unknown": strays,
            }
        )
        return OK
    rows = [
        (
            styled(i.variable, "bold"),
            "" if i.value is None else str(i.value),
            styled(i.source, "dim" if i.source == "default" else "cyan"),
            i.meaning.replace("\n", " "),
        )
        for i in infos
    ]
    call.out.table(("setting", "value", "from", "meaning"), rows)
    call.out.say(f"Settings file: {file}{'' if file.is_file() else ' (there is none)'}")
    for stray in strays:
        call.out.warn(f"{stray} is not a setting and has no effect")
    return OK
