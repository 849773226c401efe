"""Where the code of an import task is: `module_uri` in the forms that people copy from a browser, or write for a tool."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

MAX_ADDRESS = 1000
_MAX_GUESSES = 5

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?\Z")
_SEGMENT = re.compile(r"[A-Za-z0-9._~-]{1,100}\Z")
# What git itself forbids in the name of a branch or tag, and what a shell or a program could take for something else.
_NO_REVISION = re.compile(r"^[-/.]|[\s\x00-\x1f\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|[/.]$|\.lock$|\.lock/")
_GITLAB_QUERY = re.compile(r"\?ref_type=(heads|tags)(?=#|\Z)")
_PAGES = ("tree", "commit", "releases/tag", "blob", "raw", "archive", "pull", "issues", "merge_requests", "tags")


@dataclass(frozen=True, slots=True)
class CodeAddress:
    """A repository, a revision of it, and a folder inside."""

    host: str
    """`github.com`, with its port if it has one of its own."""
    repository: str
    """Its path on that host, without `.git`: `owner/name`, or `group/subgroup/name`."""
    revisions: tuple[tuple[str, str], ...]
    """Revision (empty: the default branch) and folder (empty: the root), in the order to be tried: in `tree/a/b/c` of a
    browser's address nothing says where the name of a branch ends."""
    is_gitlab: bool
    """Certainly of a GitLab; otherwise it may be one."""

    @property
    def url(self) -> str:
        """As a browser takes it."""
        return f"https://{self.host}/{self.repository}"

    @property
    def name(self) -> str:
        """The repository's own name, which its directory gets."""
        return self.repository.rpartition("/")[2]

    def archives(self, revision: str) -> tuple[str, ...]:
        """Where the forge may have that revision as a gzipped tar."""
        at = quote(revision or "HEAD", safe="/")
        flat = at.replace("/", "-")
        gitlab = f"{self.url}/-/archive/{at}/{self.name}-{flat}.tar.gz"
        other = f"{self.url}/archive/{at}.tar.gz"
        if self.host == "github.com":
            return (other,)
        return (gitlab,) if self.is_gitlab else (other, gitlab)


def parse_module_uri(text: str) -> CodeAddress:
    """What the address means.

    Forms: `https://host/owner/name` with or without `.git`; a browser's `…/tree/REVISION/FOLDER`, `…/commit/SHA`,
    `…/releases/tag/TAG`, after `/-/` on GitLab; a revision after `@` or `#`, and after it a folder as `#REVISION:FOLDER`.

    :raises ValueError: with a sentence that says what would be right, and never repeats what may be a password.
    """
    text = text.strip()
    if len(text) > MAX_ADDRESS:
        raise ValueError(f"The address has {len(text)} characters; at most {MAX_ADDRESS} are possible.")
    text = _GITLAB_QUERY.sub("", text.removeprefix("git+"))
    if not text.startswith("https://"):
        raise ValueError(f"Only https can be fetched. Write {_as_https(text)}.")
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError("This is no address. Write https://github.com/OWNER/NAME.") from None
    if "@" in parts.netloc:
        raise ValueError(
            "The address holds a name or a password, which everybody who sees the pipeline could read. Remove what stands "
            "before `@`; fetch a private repository in the command, with a secret."
        )
    if not _HOST.match(parts.netloc):
        raise ValueError(f"{parts.netloc[:80]!r} is no host. Write https://github.com/OWNER/NAME.")
    if "?" in text:
        raise ValueError("An address of code has no `?`. Write what stands before it.")
    return _read(parts.netloc.lower(), unquote(parts.path), unquote(parts.fragment), has_fragment="#" in text)


def _read(host: str, path: str, fragment: str, *, has_fragment: bool) -> CodeAddress:
    before, at, pinned = path.partition("@")
    where, page, rest = _split(before.strip("/"))
    if page and "@" in path:
        where, page, rest = _split(path.strip("/"))  # an `@` inside the name of a branch
        at = ""
    if [bool(page), bool(at), has_fragment].count(True) > 1:
        raise ValueError("The address names a branch, tag or commit twice. Keep one of them.")
    names = where.removesuffix(".git").split("/")
    if not all(_SEGMENT.match(name) and name.strip(".") for name in names) or names[-1].startswith("-"):
        raise ValueError("This names no repository. Write https://github.com/OWNER/NAME.")
    if host == "github.com" and len(names) != 2:
        raise ValueError("A repository of GitHub is OWNER/NAME. Write https://github.com/OWNER/NAME.")
    is_gitlab = "/-/" in f"{path}/" or len(names) > 2 or "gitlab" in host
    if page == "tree":
        revisions = _guesses(rest)
    else:
        revision, _, folder = fragment.partition(":") if has_fragment else (rest if page else pinned, "", "")
        revisions = ((revision, folder.strip("/")),)
        if not revision and (at or page):
            raise ValueError("The address ends where a branch, a tag or a commit would stand. Write one.")
    for revision, folder in revisions:
        _check(revision, folder)
    return CodeAddress(host, "/".join(names), revisions, is_gitlab)


def _split(path: str) -> tuple[str, str, str]:
    """The repository, the kind of page, and what comes after it."""
    where, dash, rest = path.partition("/-/")
    names = (rest if dash else path).split("/")
    start = 0 if dash else 2
    for page in _PAGES:
        words = page.split("/")
        if names[start : start + len(words)] == words:
            if page not in ("tree", "commit", "releases/tag"):
                what = "the page of one file" if page in ("blob", "raw") else "a page that shows no folder"
                raise ValueError(f"`{page}` is {what}. Write the address of the repository or of a folder.")
            after = "/".join(names[start + len(words) :])
            return (where if dash else "/".join(names[:2])), page, after
    if dash:
        raise ValueError("After `/-/` only `tree/BRANCH`, `commit/SHA` and `releases/tag/TAG` name code.")
    return path, "", ""


def _guesses(rest: str) -> tuple[tuple[str, str], ...]:
    words = rest.strip("/").split("/")
    if not words[0]:
        raise ValueError("The address ends where a branch, a tag or a commit would stand. Write one.")
    guesses = [("/".join(words[:end]), "/".join(words[end:])) for end in range(1, len(words) + 1)]
    return (guesses[0], *(guess for guess in guesses[1:_MAX_GUESSES] if not _NO_REVISION.search(guess[0])))


def _check(revision: str, folder: str) -> None:
    if revision and (_NO_REVISION.search(revision) or not revision.isprintable() or len(revision) > 250):
        raise ValueError(f"{revision[:80]!r} can name no branch, tag or commit. Write one as git shows it.")
    if (
        not folder.isprintable()
        or "\\" in folder
        or any(word in ("", ".", "..") for word in folder.split("/") if folder)
    ):
        raise ValueError(f"{folder[:80]!r} is no folder of a repository. Write its path from the root, without `..`.")


def _as_https(text: str) -> str:
    """How the address would be written, where that can be told without showing a password."""
    found = re.match(r"(?:(?:http|ssh|git)://)?(?:git@)?([A-Za-z0-9.-]+\.[A-Za-z]{2,})[:/]([A-Za-z0-9._~/-]+)\Z", text)
    return f"https://{found[1]}/{found[2]}" if found else "https://github.com/OWNER/NAME"
