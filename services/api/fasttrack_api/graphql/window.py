"""A large job through a window: some tasks one by one, the others counted by layers."""

from __future__ import annotations

from collections.abc import Mapping

import strawberry

from fasttrack.domain.states import InstanceState, JobState
from fasttrack.errors import InvalidInput

from ..streams.tracking import Tracked
from .ids import Kind, to_global
from .types.stream import JobWindow, LayerCounts, LayerRange, TaskStateCount, WindowTask

WINDOW = 500
"""Tasks that a window may show."""
BANDS = 200
"""Groups of layers that a window counts apart, at most."""


def counted(counts: Mapping[InstanceState, int]) -> list[TaskStateCount]:
    """Those states that some task is in."""
    return [TaskStateCount(state=s, count=counts[s]) for s in InstanceState if counts.get(s)]


class Window:
    """What one subscriber sees of a job."""

    def __init__(
        self, tracked: Tracked, layer_of: list[int], tasks: list[strawberry.ID] | None, layers: LayerRange | None
    ) -> None:
        """:raises InvalidInput: the window is too large, or names what the job does not have."""
        self._tracked = tracked
        self._layer_of = layer_of
        self._shown = self._choose(tasks, layers)
        depth = max(layer_of, default=0) + 1
        self._height = -(-depth // BANDS)
        self._bands: list[list[int]] = [[] for _ in range(-(-depth // self._height))]
        for index, layer in enumerate(layer_of):
            if index not in self._shown:
                self._bands[layer // self._height].append(index)
        self._is_first = True

    def _choose(self, tasks: list[strawberry.ID] | None, layers: LayerRange | None) -> set[int]:
        if (tasks is None) == (layers is None):
            raise InvalidInput("give a window either `tasks` or `layers`")
        if layers is not None:
            shown = {i for i, layer in enumerate(self._layer_of) if layers.first <= layer <= layers.last}
        else:
            assert tasks is not None
            if len(tasks) > WINDOW:
                raise InvalidInput(f"a window shows at most {WINDOW} tasks, and these are {len(tasks)}")
            known = {to_global(Kind.TASK_INSTANCE, i): index for index, i in enumerate(self._tracked.ids)}
            unknown = [str(t)[:80] for t in tasks if str(t) not in known]
            if unknown:
                raise InvalidInput(f"the job has no task instance {unknown[0]!r}")
            shown = {known[str(t)] for t in tasks}
        if len(shown) > WINDOW:
            raise InvalidInput(
                f"a window shows at most {WINDOW} tasks, and these layers have {len(shown)}: choose fewer"
            )
        return shown

    def look(self, cursor: str) -> JobWindow:
        """Everything at first, then what has changed since the last look."""
        tracked = self._tracked
        changed = set(range(len(tracked.states))) if self._is_first else tracked.changed
        bands = sorted({self._layer_of[i] // self._height for i in changed if i not in self._shown})
        seen = JobWindow(
            cursor=cursor,
            is_snapshot=self._is_first,
            state=JobState(tracked.state),
            counts=counted(tracked.counts),
            tasks=[self._task(i) for i in sorted(changed & self._shown)],
            layers=[self._band(b) for b in bands],
        )
        self._is_first, tracked.changed = False, set()
        return seen

    def _task(self, index: int) -> WindowTask:
        tracked = self._tracked
        return WindowTask(
            task_instance_id=strawberry.ID(to_global(Kind.TASK_INSTANCE, tracked.ids[index])),
            name=tracked.names[index],
            index=index,
            layer=self._layer_of[index],
            state=tracked.states[index],
        )

    def _band(self, number: int) -> LayerCounts:
        first = number * self._height
        last = min(first + self._height - 1, max(self._layer_of))
        return LayerCounts(first=first, last=last, counts=counted(self._tracked.count(self._bands[number])))
