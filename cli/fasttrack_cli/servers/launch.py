"""Becomes the user a server runs as, leaves the caller's session, and turns into the server.

Run by its path with `python -I -S`, alone in a fresh process: changing users and capabilities between fork and exec is
not safe in a process that has threads or an event loop. Imports only the standard library, and nothing of FastTrack.

    launch.py '{"uid": …, "gid": …, "capability": number or null, "log": path or null, "hold": path or null}' program …

With a log the program is started in a session of its own, with the log as its output, and the process id is printed.
Without one this process becomes the program, and the program ends when its parent does. The file to hold is locked as
long as the program or any of its children lives.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import sys

# From linux/prctl.h, linux/securebits.h and linux/capability.h.
PR_SET_PDEATHSIG, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 28, 38, 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAPABILITY_VERSION_3 = 0x20080522


def main() -> None:
    plan, command = json.loads(sys.argv[1]), sys.argv[2:]
    os.closerange(3, 65536)  # uvloop leaks its ends of our pipes to us; a server that kept them would keep them open
    if plan["hold"] is not None:
        hold(plan["hold"])
    if plan["log"] is not None:
        detach(plan["log"])
    os.chdir("/")  # a server must not hold the caller's directory
    os.umask(0o077)
    if sys.platform == "linux":
        prctl(PR_SET_NO_NEW_PRIVS, 1)
    become(plan["uid"], plan["gid"], plan["capability"])
    if plan["log"] is None and sys.platform == "linux":
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # after the change of user, which clears it
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and an ignored signal stays so after exec
    os.execv(command[0], command)  # noqa: S606


def hold(path: str) -> None:
    """Lock a file until this process, what it becomes, and all its children have ended."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(file, True)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def detach(log: str) -> None:
    """Go on as a child without a parent, in a session of its own, that writes to `log`."""
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.setsid()
    child = os.fork()
    if child:
        os.write(1, b"%d\n" % child)
        os._exit(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)


def become(uid: int, gid: int, capability: int | None) -> None:
    """Change the user for good. `capability` is the one power of root that is kept."""
    if uid == os.geteuid():
        return
    if capability is not None:
        # Keeps the powers over setuid, and lets access(2) count the one that stays: PostgreSQL asks access(2) whether
        # its own program can be reached.
        prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if capability is not None:
        keep_only(capability)


def keep_only(capability: int) -> None:
    """Give up every capability but one, and hand that one on over exec."""
    bit = 1 << capability
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)  # effective, permitted, inheritable; then the high halves
    if ctypes.CDLL(None, use_errno=True).capset(header, data):
        raise OSError(ctypes.get_errno(), "capset")
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def prctl(option: int, first: int, second: int = 0) -> None:
    arguments = [ctypes.c_ulong(value) for value in (first, second, 0, 0)]
    if ctypes.CDLL(None, use_errno=True).prctl(ctypes.c_int(option), *arguments):
        raise OSError(ctypes.get_errno(), f"prctl {option}")


if __name__ == "__main__":
    main()
