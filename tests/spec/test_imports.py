"""The address of an import: what people copy from a browser, or write for a tool; a sentence for anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasttrack.errors import InvalidPipeline, Problem
from fasttrack.spec import load_pipeline
from fasttrack.spec.imports import parse_module_uri

GUESSES = (("feature", "x/sub"), ("feature/x", "sub"), ("feature/x/sub", ""))


@pytest.mark.parametrize(
    ("address", "repository", "revisions"),
    [
        ("https://github.com/lab/code", "lab/code", (("", ""),)),
        (" https://github.com/lab/code/ ", "lab/code", (("", ""),)),
        ("https://GitHub.com/lab/code.git", "lab/code", (("", ""),)),
        ("git+https://github.com/lab/code.git@v1.0", "lab/code", (("v1.0", ""),)),
        ("https://github.com/lab/code@feature/x", "lab/code", (("feature/x", ""),)),
        ("https://github.com/lab/code#main:src/lib", "lab/code", (("main", "src/lib"),)),
        ("https://github.com/lab/code#:src", "lab/code", (("", "src"),)),
        ("https://github.com/lab/code/tree/main", "lab/code", (("main", ""),)),
        ("https://github.com/lab/code/tree/feature/x/sub", "lab/code", GUESSES),
        ("https://github.com/lab/code/tree/main/with%20space", "lab/code", (("main", "with space"),)),
        ("https://github.com/lab/code/tree/ada@home/x", "lab/code", (("ada@home", "x"), ("ada@home/x", ""))),
        ("https://github.com/lab/code/commit/0a1b2c3", "lab/code", (("0a1b2c3", ""),)),
        ("https://github.com/lab/code/releases/tag/v1.0", "lab/code", (("v1.0", ""),)),
        ("https://github.com/lab/tree", "lab/tree", (("", ""),)),
        ("https://gitlab.com/group/sub/code", "group/sub/code", (("", ""),)),
        ("https://gitlab.com/group/sub/code/-/tree/feature/x/sub", "group/sub/code", GUESSES),
        ("https://gitlab.com/group/code/-/tree/main?ref_type=heads", "group/code", (("main", ""),)),
        ("https://git.example.org:8443/group/code/-/commit/0a1b2c3", "group/code", (("0a1b2c3", ""),)),
    ],
)  # fmt: skip
def test_the_usual_forms_name_a_repository_a_revision_and_a_folder(address, repository, revisions):
    code = parse_module_uri(address)
    assert (code.repository, code.revisions) == (repository, revisions)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("http://github.com/lab/code", "Only https can be fetched. Write https://github.com/lab/code."),
        ("github.com/lab/code", "Only https can be fetched. Write https://github.com/lab/code."),
        ("git@github.com:lab/code.git", "Only https can be fetched. Write https://github.com/lab/code.git."),
        ("file:///etc/passwd", "Only https can be fetched. Write https://github.com/OWNER/NAME."),
        ("ssh://hunter2@github.com/lab/code", "Only https can be fetched. Write https://github.com/OWNER/NAME."),
        ("https://github.com/lab", "A repository of GitHub is OWNER/NAME. Write https://github.com/OWNER/NAME."),
        ("https://github.com/lab/code/main", "A repository of GitHub is OWNER/NAME. Write https://github.com/OWNER/NAME."),
        ("https://example.org/../code", "This names no repository. Write https://github.com/OWNER/NAME."),
        ("https://example.org/a;b/code", "This names no repository. Write https://github.com/OWNER/NAME."),
        ("https://exa mple/lab/code", "'exa mple' is no host. Write https://github.com/OWNER/NAME."),
        ("https://[::1/lab/code", "This is no address. Write https://github.com/OWNER/NAME."),
        ("https://github.com/lab/code?token=x", "An address of code has no `?`. Write what stands before it."),
        (
            "https://github.com/lab/code/blob/main/train.py",
            "`blob` is the page of one file. Write the address of the repository or of a folder.",
        ),
        (
            "https://github.com/lab/code/pull/7",
            "`pull` is a page that shows no folder. Write the address of the repository or of a folder.",
        ),
        (
            "https://gitlab.com/lab/code/-/jobs/7",
            "After `/-/` only `tree/BRANCH`, `commit/SHA` and `releases/tag/TAG` name code.",
        ),
        (
            "https://github.com/lab/code/tree/",
            "The address ends where a branch, a tag or a commit would stand. Write one.",
        ),
        ("https://github.com/lab/code@", "The address ends where a branch, a tag or a commit would stand. Write one."),
        ("https://github.com/lab/code@a#b", "The address names a branch, tag or commit twice. Keep one of them."),
        ("https://github.com/lab/code/tree/a#b", "The address names a branch, tag or commit twice. Keep one of them."),
        (
            "https://github.com/lab/code@--upload-pack=x",
            "'--upload-pack=x' can name no branch, tag or commit. Write one as git shows it.",
        ),
        (
            "https://github.com/lab/code#main:../x",
            "'../x' is no folder of a repository. Write its path from the root, without `..`.",
        ),
        ("https://github.com/lab/" + "c" * 1000, "The address has 1023 characters; at most 1000 are possible."),
    ],
)  # fmt: skip
def test_another_address_gets_a_sentence_with_the_remedy(address, sentence):
    with pytest.raises(ValueError) as caught:
        parse_module_uri(address)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("login", ["ada:hunter2", "hunter2", "oauth2:hunter2", "ada:hunt@hunter2"])
def test_a_password_in_the_address_is_refused_and_not_repeated(login):
    with pytest.raises(ValueError, match="The address holds a name or a password") as caught:
        parse_module_uri(f"https://{login}@github.com/lab/code")
    assert "hunter2" not in str(caught.value)


@given(st.text(st.sampled_from("https://github.com lab-@#:?%.~tree\n\0é'\"$`"), max_size=60))
def test_no_text_does_more_than_that(text):
    for address in (text, f"https://{text}", f"https://github.com/{text}"):
        try:
            code = parse_module_uri(address)
        except ValueError:
            continue
        shown = code.url + "".join(f"{revision}{folder}" for revision, folder in code.revisions)
        assert not set(shown) & set("\n\0"), shown
        assert ".." not in code.repository.split("/")


def test_archives_are_asked_for_where_the_forge_has_them():
    github = parse_module_uri("https://github.com/lab/code")
    assert github.archives("feature/x") == ("https://github.com/lab/code/archive/feature/x.tar.gz",)
    gitlab = parse_module_uri("https://gitlab.com/g/s/code")
    assert gitlab.archives("feature/x") == ("https://gitlab.com/g/s/code/-/archive/feature/x/code-feature-x.tar.gz",)
    assert gitlab.archives("") == ("https://gitlab.com/g/s/code/-/archive/HEAD/code-HEAD.tar.gz",)
    other = parse_module_uri("https://git.example.org/lab/code")
    assert other.archives("a b") == (
        "https://git.example.org/lab/code/archive/a%20b.tar.gz",
        "https://git.example.org/lab/code/-/archive/a%20b/code-a%20b.tar.gz",
    )


def problems(task: str) -> list[Problem]:
    text = f"name: p\ntasks:\n  - name: a\n    environment: {{image: i}}\n{task}"
    try:
        return list(load_pipeline(text)[2])
    except InvalidPipeline as error:
        return list(error.problems)


def test_a_bad_address_has_its_place_in_the_file():
    (problem,) = problems("    type: Import from GitHub\n    module_uri: http://github.com/lab/code\n")
    assert problem.message == "Only https can be fetched. Write https://github.com/lab/code."
    assert (problem.path, problem.line, problem.column) == ("tasks[0].module_uri", 6, 17)


@pytest.mark.parametrize("mount", ["code", "data:code"])
def test_a_mount_does_not_stand_where_the_code_goes(mount):
    (problem,) = problems(
        f"    type: Import from GitLab\n    module_uri: https://gitlab.com/lab/code\n    mounts: ['{mount}']\n"
    )
    assert problem.message == (
        f"'{mount}' would appear at /home/work/code, where the code of `module_uri` goes. Give it another alias: "
        "`folder:alias`."
    )


def test_an_address_at_a_task_that_imports_nothing_is_told():
    (problem,) = problems("    command: ls\n    module_uri: https://github.com/lab/code\n")
    assert problem.message == (
        "Only tasks of type `Import from GitHub` or `Import from GitLab` fetch code; this has no effect."
    )
