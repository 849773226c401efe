"""Where a process's CPU time goes, by looking at its main thread a thousand times a second from another thread.

Each look is weighted with the CPU time that the main thread has used since the last one, so waiting counts nothing.
Code without Python frames (the event loop's and asyncpg's own C) counts for the frame that called it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

EVERY = 0.001
LINES = 25


class Sampler:
    """Samples the thread it was made in."""

    def __init__(self) -> None:
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
        last = time.clock_gettime_ns(self._clock)
        while not self._over.wait(EVERY):
            now = time.clock_gettime_ns(self._clock)
            spent, last = now - last, now
            frame = sys._current_frames().get(self._watched)
            if spent > 0 and frame is not None:
                self._record(frame, spent)

    def _record(self, frame: FrameType, spent: int) -> None:
        code = frame.f_code
        self.lines[code.co_filename, frame.f_lineno, code.co_qualname] += spent
        self.functions[code.co_filename, code.co_qualname] += spent
        seen = set()
        above: FrameType | None = frame
        while above is not None:
            seen.add((above.f_code.co_filename, above.f_code.co_qualname))
            above = above.f_back
        for key in seen:
            self.inclusive[key] += spent

    def report(self) -> str:
        """The costliest lines and functions by own time, and functions with all they call."""
        total = sum(self.lines.values()) or 1
        text = [f"{total / 1e9:.2f} s of CPU time in the main thread"]
        text += ["", f"lines, own time, first {LINES}"]
        text += [
            f"{spent / total:7.1%}  {_short(file)}:{line}  {name}"
            for (file, line, name), spent in self.lines.most_common(LINES)
        ]
        for title, counter in (
            ("functions, own time", self.functions),
            ("functions, with what they call", self.inclusive),
        ):
            text += ["", f"{title}, first {LINES}"]
            text += [
                f"{spent / total:7.1%}  {_short(file)}  {name}"
                for (file, name), spent in counter.most_common(LINES if counter is self.functions else 2 * LINES)
            ]
        return "\n".join(text) + "\n"


def _short(file: str) -> str:
    return "/".join(Path(file).parts[-3:])


@contextmanager
def sampled(into: Path) -> Iterator[None]:
    """Sample this thread while the block runs, and write the report at its end."""
    sampler = Sampler()
    sampler.start()
    try:
        yield
    finally:
        sampler.stop()
        into.write_text(sampler.report())
