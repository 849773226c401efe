"""What a command printed, cut out of a manager's log: exact at the end, and never taken back while the log grows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasttrack.backend_ai.markers import cut

NAME = "ft-b5s6m7x3jvh2lmfvq2c4i6vzqe-001"
BEGIN = f"=== fasttrack {NAME} begins ===\n"
END = f"\n=== fasttrack {NAME} ends with code "
# As managers of 23.09 and 26.9 give it; the colour code stands right before the command's first line.
BEFORE = (
    "Kernel started at: 2026-11-22T11:20:05+00:00\r\nLOCAL_USER_ID=1000\r\nbinding to tcp://*:2000\r\n"
    "[59] Nov 22 11:20:07 Not backgrounding\r\n\x1b[35;1m[2026/11/22 11:20:07:7006] N:  -- [wsisrv|0|adopted] (0) 469μs\r\n"
    "\x1b[0m"
)
AFTER = (
    "\x1b[35;1m[2026/11/22 11:20:09:0930] N: received signal: SIGTERM (15), exiting...\r\n\x1b[0m"
    "python-kernel: Service sshd (pid: 59) has terminated with exit code: -15\r\n"
)
PRINTED = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        st.sampled_from(
            ["\r", "\n", "\r\n", "===", " ===\n", END, END[:20], BEGIN[:-1], "=== fasttrack ", "0", "\x1b[0m"]
        ),
    ),
    max_size=12,
).map("".join)


def through_a_terminal(text: str) -> str:
    return text.replace("\n", "\r\n")


def log_of(printed: str, code: int) -> str:
    return BEFORE + through_a_terminal(f"{BEGIN}{printed}{END}{code} ===\n") + AFTER


@given(PRINTED, st.integers(0, 255))
def test_of_a_whole_log_comes_what_the_command_printed_to_the_byte(printed: str, code: int) -> None:
    assert cut(log_of(printed, code), NAME) == (printed.encode(), code)


@given(PRINTED, st.integers(0, 255), st.data())
def test_a_log_that_grows_takes_nothing_back(printed: str, code: int, data: st.DataObject) -> None:
    whole = log_of(printed, code)
    at = data.draw(st.integers(0, len(whole)))
    early, early_code = cut(whole[:at], NAME)
    assert printed.encode().startswith(early)
    assert early_code in (None, code)
    if early_code is None:
        unsettled = len(END) + len("255 ===\r") + 2
        begun = max(0, at - len(BEFORE) - len(BEGIN) - 1)
        shown = through_a_terminal(early.decode())
        assert len(shown) >= min(len(through_a_terminal(printed)), begun) - unsettled


@given(PRINTED, st.integers(0, 255), st.data())
def test_a_log_that_lost_its_beginning_gives_the_rest(printed: str, code: int, data: st.DataObject) -> None:
    printed = printed.replace(BEGIN[:-1], "")
    shown = through_a_terminal(printed)
    lost = data.draw(st.integers(0, len(shown)))
    found, found_code = cut(shown[lost:] + through_a_terminal(f"{END}{code} ===\n") + AFTER, NAME)
    assert found_code == code
    assert through_a_terminal(found.decode()) in (shown[lost:], "\r" + shown[lost:])


@pytest.mark.parametrize(
    "log", ["", BEFORE, BEFORE + AFTER, f"=== fasttrack {NAME} was begun before and is not run again ==="]
)
def test_of_a_session_that_never_ran_its_command_comes_nothing(log: str) -> None:
    assert cut(log, NAME) == (b"", None)


def test_the_marker_lines_of_another_session_are_output_as_any_other() -> None:
    foreign = "=== fasttrack ft-other-002 begins ===\nx\n\n=== fasttrack ft-other-002 ends with code 3 ===\n"
    assert cut(log_of(foreign, 0), NAME) == (foreign.encode(), 0)
