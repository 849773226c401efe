"""The code of an import task: shell lines that fetch it before the command, with what the image has, and go there.

They are part of the command that a session backend gets, so that every backend has imports. Everything happens in a shell of
its own: the command finds no variable, function or descriptor of it, only another working directory.
"""

from __future__ import annotations

from shlex import quote

from fasttrack.spec.imports import CodeAddress

IMPORT_FAILED = 96
"""The exit code of a task whose code could not be fetched; its command did not run."""
SECONDS = 900
"""How long fetching may take in all."""
_STALL = 60

_PYTHON = """\
import sys, shutil, tarfile, tempfile, urllib.request as web
try:
    with web.urlopen(sys.argv[1], timeout=60) as answer, tempfile.TemporaryFile() as kept:
        if not answer.geturl().startswith("https:"): sys.exit("it leads away from https")
        shutil.copyfileobj(answer, kept)
        kept.seek(0)
        with tarfile.open(fileobj=kept, mode="r:gz") as tar:
            safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(sys.argv[2], **safe)
except Exception as error:
    sys.exit(str(error) or type(error).__name__)
"""

# Its only line on standard output is the directory of the code; everything else goes to standard error, the task's log.
_FETCH = """\
exec 3>&1 >&2
line='
'
tried=
note() { tried="$tried$line  $1"; }
attempt() {
  what=$1
  shift
  said=$("$@" 2>&1 3>&-) && return
  said=${said##*"$line"}
  note "$what: ${said:-no reason given}"
  return 1
}
has() { command -v "$1" >/dev/null 2>&1; }
by_git() {
  git init -q "$place" &&
    GIT_TERMINAL_PROMPT=0 git -C "$place" -c protocol.allow=never -c protocol.https.allow=always \\
      -c http.lowSpeedLimit=1000 -c http.lowSpeedTime=$stall fetch -q --depth 1 --no-tags "$url.git" "${1:-HEAD}" &&
    git -C "$place" -c advice.detachedHead=false checkout -q --detach FETCH_HEAD
}
by_python() { python3 -c "$python" "$1" "$place.new"; }
by_curl() { curl -fsSL --proto =https --proto-redir =https --connect-timeout $stall -y $stall -o "$place.tar.gz" "$1"; }
by_wget() { wget -T $stall -O "$place.tar.gz" "$1"; }
unpack() { mkdir "$place.new" && tar -xzf "$place.tar.gz" -C "$place.new"; }
clear() { rm -rf "$place" "$place.new" "$place.tar.gz"; }
take() { for found in "$place.new"/*/; do mv "$found" "$place" && rm -rf "$place.new" "$place.tar.gz"; return; done; false; }
arrived() {
  if [ -d "$place/$2" ]; then
    echo "Fetched $page at ${3:-${1:-its default branch}} into $place"
    echo "$place${2:+/$2}" >&3
    exit 0
  fi
  note "$page at ${1:-its default branch}: there is no folder $2 in it"
  clear
}
fetch() {
  revision=$1 folder=$2
  shift 2
  if has git; then
    attempt "git, $url.git at ${revision:-HEAD}" by_git "$revision" &&
      arrived "$revision" "$folder" "$(git -C "$place" rev-parse HEAD)" && return
    clear
  fi
  for archive; do
    for tool in python3 curl wget; do
      has $tool || continue
      attempt "$tool, $archive" by_${tool%3} "$archive" && { [ -d "$place.new" ] || attempt tar unpack; } &&
        attempt "$tool, $archive" take && arrived "$revision" "$folder" && return
      clear
    done
  done
}
if [ -e "$place" ]; then
  echo "fasttrack: the code of $page would stand at $place, and something is there already: give the mount another alias"
  exit 1
fi
"""

_GIVE_UP = """\
[ -n "$tried" ] || tried="$line  nothing: the image has neither git nor python3, curl or wget"
echo "fasttrack: the code at $page could not be fetched. Tried:$tried"
echo "See whether the address and its branch, tag or commit exist, are public, and can be reached from here."
exit 1
"""


def prologue(code: CodeAddress, *, seconds: int = SECONDS) -> str:
    """Shell lines that put the code into `<working directory>/<name of the repository>` and go there, or to its folder.

    With git where there is one (only the one revision, without history), else with python3, curl or wget from the
    forge's archives. They end the shell with `IMPORT_FAILED` and a sentence on standard error when nothing worked.
    """
    given = {
        "url": code.url,
        "page": code.url,
        "stall": str(_STALL),
        "python": _PYTHON,
    }
    text = "".join(f"{name}={quote(value)}\n" for name, value in given.items())
    text += f'place="$PWD"/{quote(code.name)}\n' + _FETCH
    for revision, folder in code.revisions:
        text += " ".join(quote(word) for word in ("fetch", revision, folder, *code.archives(revision))) + "\n"
    shell = f"/bin/sh -c {quote(text + _GIVE_UP)}"
    # `timeout` is not in every image; without it each step has a limit of its own.
    return (
        f'cd "$(set -- {shell}\n'
        f'timeout 9 true 2>/dev/null && set -- timeout {seconds} "$@"\n'
        f'"$@" || echo /dev/null)" 2>/dev/null || exit {IMPORT_FAILED}\n'
    )


def copy_out() -> str:
    """The command of an import task that has none: its code becomes its outputs."""
    return 'cp -R . "${FASTTRACK_OUTPUTS:-/pipeline/outputs}"\n'
