"""Where a process's CPU time goes, by looking at its main thread a thousand times a second from another thread.

Each look is weighted with the CPU time that the main thread has used since the last one, so waiting counts nothing; a
look at the waiting event loop itself is left out. Code without Python frames (asyncpg's and the event loop's own C)
counts for the frame that called it, which for the event loop is `Runner.run`.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

EVERY = 0.001
LINES = 25
_BUSY = 0.8


class Sampler:
    """Samples the thread it was made in."""

    def __init__(self, begins: Callable[[], bool]) -> None:
        """:param begins: whether what is of interest has begun; nothing counts before."""
        self._begins = begins
        self._watched = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._watched)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.lines: Counter[tuple[str, int, str]] = Counter()
        self.functions: Counter[tuple[str, str]] = Counter()
        self.inclusive: Counter[tuple[str, str]] = Counter()

    def start(self) -> None:
        sys.setswitchinterval(EVERY / 4)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set() and not self._begins():
            self._over.wait(EVERY)
        last, looked = time.clock_gettime_ns(self._clock), time.monotonic_ns()
        while not self._over.wait(EVERY):
            now, looks = time.clock_gettime_ns(self._clock), time.monotonic_ns()
            spent, wall = now - last, looks - looked
            last, looked = now, looks
            frame = sys._current_frames().get(self._watched)
            if frame is None or not spent:
                continue
            is_loop = frame.f_code.co_qualname == "Runner.run"
            if not is_loop or spent > _BUSY * wall:
                self._record(frame, spent)

    def _record(self, frame: FrameType, spent: int) -> None:
        code = frame.f_code
        self.lines[code.co_filename, frame.f_lineno, code.co_qualname] += spent
        self.functions[code.co_filename, code.co_qualname] += spent
        seen = set()
        above: FrameType | None = frame
        while above is not None and above.f_code.co_qualname != "Runner.run":
            seen.add((above.f_code.co_filename, above.f_code.co_qualname))
            above = above.f_back
        for key in seen:
            self.inclusive[key] += spent

    def report(self) -> str:
        """The costliest lines and functions by own time, and functions with all they call."""
        total = sum(self.lines.values()) or 1
        lines = [(spent, f"{_short(file)}:{line}  {name}") for (file, line, name), spent in self.lines.items()]
        own = [(spent, f"{_short(file)}  {name}") for (file, name), spent in self.functions.items()]
        whole = [(spent, f"{_short(file)}  {name}") for (file, name), spent in self.inclusive.items()]
        text = f"{total / 1e9:.2f} s of CPU time in the main thread\n"
        for title, found, most in (
            ("lines, own time", lines, LINES),
            ("functions, own time", own, LINES),
            ("functions, with what they call", whole, 2 * LINES),
        ):
            text += f"\n{title}, first {most}\n"
            text += "".join(f"{spent / total:7.1%}  {what}\n" for spent, what in sorted(found, reverse=True)[:most])
        return text


def _short(file: str) -> str:
    return "/".join(Path(file).parts[-3:])


@contextmanager
def sampled(into: Path, begins: Callable[[], bool]) -> Iterator[None]:
    """Sample this thread while the block runs, and write the report at its end."""
    sampler = Sampler(begins)
    sampler.start()
    try:
        yield
    finally:
        sampler.stop()
        into.write_text(sampler.report())
