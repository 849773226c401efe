"""Starting a session: a small shell that lets go of the scheduler, runs the command once, and records its end.

The launcher forks and exits at once, so that the keeper (its child) belongs to nobody's process tree and to a process
session of its own; no death of a scheduler touches it. A shell instead of a Python process makes it cost a millisecond.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence

# The traps keep the keeper alive through signals to its group; the command gets the defaults back. `kill -TERM 0` asks
# background children that outlived the command to go, while the group is certainly still ours.
_KEEPER = """(
exec 2>/dev/null 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
trap : TERM INT HUP PIPE QUIT USR1 USR2 ALRM
IFS= read -r stat </proc/self/stat
IFS= read -r boot </proc/sys/kernel/random/boot_id
set -C
printf '%s\\n%s\\n%s\\n' "$stat" "$boot" "$3" >"$1/started" || exit
printf '%s\\n' "$2" >&3
dir=$1
cd "$4"
unset OLDPWD
shift 4
"$@" 2>&1 3>&-
code=$?
kill -TERM 0
cause=own
[ -e "$dir/end" ] && read -r cause <"$dir/end"
set +C
printf '%s\\n' "$code $cause" >"$dir/exit"
) &
"""

_DEFAULTS = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


def launch(
    name: str,
    directory: str,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    facts: bytes,
    bell: int,
) -> int:
    """Spawn the launcher and return its process number; it ends at once and must be reaped.

    The name is written to `bell` when the command starts. If somebody started the session before, nothing happens.
    :raises OSError: it could not be spawned.
    """
    return os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", _KEEPER, "sh", directory, name, facts.decode(), cwd, *argv],
        env,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, f"{directory}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            (os.POSIX_SPAWN_DUP2, bell, 3),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=_DEFAULTS,
    )
