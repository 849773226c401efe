"""The command of a batch session as the cluster runs it: a shell text around the task's own command, and its way back.

The shell text is POSIX, asks nothing of the image but `/bin/sh` and `mkdir`, and keeps the promises that a manager does
not: the command runs at most once under a session's name, its outputs begin empty, its exit code and its output outlive
the container. What the image lacks costs the part that needs it: without `tee` or `mkfifo` the output is not kept, without
the folder nothing is; the command runs all the same.
"""

from __future__ import annotations

from ..base import SessionRefused

RAN_BEFORE = 97
"""The exit code of a session whose command was begun by another of the same name, and therefore not run."""
SESSION = "/pipeline/.session"
"""The wrapper's own place: `begun`, `log`, `exit`."""
OUTPUTS = "/pipeline/outputs"
MAX_BYTES = 128 * 1024 - 1
"""What Linux takes as one argument of a program."""
TOOLS = "/usr/local/bin:/usr/bin:/bin"
"""Where programs are looked for after the task's own PATH, which may be any."""
_BLOCK = 512

# Names begin with `_ft_`, so that no variable of the task is touched. The marker lines are put together when they are
# printed: a list of processes would show them otherwise. A descriptor is closed wherever the command could see it.
_HEAD = """\
exec 2>/dev/null
_ft_path=${PATH-}
PATH=${PATH:+$PATH:}$_ft_tools
_ft_mark() { printf "$1=== fasttrack %s $2 ===\\n" "$_ft_name"; }
if ! mkdir "$_ft_session/begun" && [ -e "$_ft_session/begun" ]; then
  _ft_mark '' 'was begun before and is not run again'
  exit "$_ft_again"
fi
if [ -d "$_ft_outputs" ]; then
  find "$_ft_outputs/." ! -name . -prune -exec rm -rf {} +
  for _ft_left in "$_ft_outputs"/* "$_ft_outputs"/.[!.]* "$_ft_outputs"/..?*; do
    [ -L "$_ft_left" ] || [ ! -e "$_ft_left" ] || chmod -R u+rwx "$_ft_left"
    rm -rf "$_ft_left"
  done
fi
"""

# The output goes through `tee` rather than straight out: a process left in the background holds only that pipe. What is
# past the cap fails with EFBIG, and `tee` goes on with its other end, a pipe of the container's runner, which has no
# size. bash counts blocks of 1024 unless it is told otherwise.
_COPIER = """\
_ft_copier= _ft_pid= _ft_told=
exec 3</dev/null
if command -v tee >/dev/null; then
  for _ft_dir in "${TMPDIR:-/tmp}" /tmp /dev/shm "$_ft_session"; do
    _ft_pipe=$_ft_dir/.fasttrack-$_ft_name-$$
    mkfifo -m 600 "$_ft_pipe" || continue
    (
      trap '' TERM INT HUP QUIT XFSZ
      (set -o posix) && set -o posix
      ulimit -f "$_ft_blocks"
      exec tee "$_ft_session/log"
    ) <"$_ft_pipe" 3<&- &
    _ft_copier=$!
    exec 4>"$_ft_pipe"
    rm -f "$_ft_pipe"
    break
  done
fi
[ -n "$_ft_copier" ] || exec 4>&1
"""

# A shell starts what it does not wait for with INT and QUIT ignored; `env` undoes that where it can, and in bash the
# trap does. On TERM all of the command's processes are told. A plain shell among them dies at once, so whoever still
# holds the output then gets the time that the one who sent the signal gives. The signal interrupts `wait`.
_RUN = """\
_ft_tree() {
  echo "$1"
  for _ft_list in /proc/"$1"/task/*/children; do
    _ft_kids=
    read -r _ft_kids <"$_ft_list"
    for _ft_kid in $_ft_kids; do (_ft_tree "$_ft_kid"); done
  done
}
_ft_tell() { _ft_told=1 _ft_linger=600; [ -z "$_ft_pid" ] || kill -TERM $(_ft_tree "$_ft_pid"); }
trap _ft_tell TERM INT HUP
_ft_mark '' begins
set -- /bin/sh -c "$_ft_command"
env --default-signal=INT,QUIT true && set -- "$(command -v env)" --default-signal=INT,QUIT "$@"
(PATH=$_ft_path; trap - INT QUIT; exec "$@") <&3 >&4 2>&1 3<&- 4>&- &
_ft_pid=$!
exec 3<&- 4>&-
[ -z "$_ft_told" ] || _ft_tell
_ft_told=
wait "$_ft_pid"
_ft_code=$?
while [ -n "$_ft_told" ] && [ "$_ft_code" -gt 128 ]; do
  _ft_told=
  wait "$_ft_pid"
  _ft_code=$?
done
"""

_TAIL = """\
trap _ft_told=1 TERM INT HUP
if [ -n "$_ft_copier" ]; then
  (
    trap 'kill "$_ft_nap"' TERM
    sleep "$_ft_linger" &
    _ft_nap=$!
    wait "$_ft_nap" && kill -KILL "$_ft_copier"
  ) </dev/null >/dev/null &
  _ft_timer=$!
  _ft_told=1
  while [ -n "$_ft_told" ]; do _ft_told=; wait "$_ft_copier"; done
  kill "$_ft_timer"
fi
{
  echo "code=$_ft_code"
  _ft_now=$(date -u +%Y-%m-%dT%H:%M:%SZ) && echo "ended=$_ft_now"
} >"$_ft_session/exit.new"
if [ -s "$_ft_session/exit.new" ]; then
  sync "$_ft_session/exit.new"
  mv -f "$_ft_session/exit.new" "$_ft_session/exit"
fi
_ft_mark '\\n' "ends with code $_ft_code"
exit "$_ft_code"
"""


def wrap(
    command: str,
    *,
    name: str,
    cap: int,
    linger: int = 2,
    session: str = SESSION,
    outputs: str = OUTPUTS,
    tools: str = TOOLS,
) -> str:
    """The shell text that runs `command` once under the session's name, and tells of it.

    It prints a marker line, what the command prints (both streams, in order), and a marker line with the exit code; it
    ends with that code. In `session` it leaves `log` (the first `cap` bytes of the output, in whole blocks of 512) and
    `exit` (lines `code=3`, `ended=2026-11-24T15:00:00Z`). Where `session/begun` is there already, it runs nothing and
    ends with `RAN_BEFORE`.

    :param linger: seconds for which output is still taken from processes that the command left in the background; when
        it was asked to end, as long as whoever asked leaves it.
    :raises SessionRefused: the command is too long to be given to a shell in one piece.
    """
    given = {
        "name": name,
        "session": session,
        "outputs": outputs,
        "blocks": str(cap // _BLOCK),
        "linger": str(linger),
        "tools": tools,
        "again": str(RAN_BEFORE),
        "command": command,
    }
    settings = "".join(f"_ft_{key}={quote(value)}\n" for key, value in given.items())
    text = settings + _HEAD + _COPIER + _RUN + _TAIL
    if (size := len(text.encode("utf-8", "surrogatepass"))) > MAX_BYTES:
        over = size - MAX_BYTES
        raise SessionRefused(
            f"The command is {over} bytes too long: a cluster takes about {(MAX_BYTES + 1) // 1024} KiB. Put the longer "
            "part into a file in a folder, and run that."
        )
    return text


def quote(text: str) -> str:
    """The text as one word of a shell, whatever it holds."""
    return "'" + text.replace("'", "'\\''") + "'"
