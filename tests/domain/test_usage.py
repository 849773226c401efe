"""What is taken of resource groups, and by whom."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from fasttrack.domain.pipeline import Alternative, Resources
from fasttrack.domain.states import InstanceState
from fasttrack.domain.usage import ANY_GROUP, MOST_USES, Asked, Told, User, sum_up
from tests.factories import NOW, a_task

D, R, Q = Decimal, InstanceState.RUNNING, InstanceState.QUEUED
ADA, BOB = User("vision", "train", "ada"), User("vision", "train", "bob")


def asked(user: User | None, state: InstanceState = R, count: int = 1, group: str = "gpu", site: str = "here") -> Asked:
    return Asked(site, group, user, state, count, {"cpu": D(2), "cuda.shares": D("0.5")})


def test_what_is_held_is_used_and_what_is_queued_waits() -> None:
    capacity = {("here", "gpu"): Told({"cpu": D(8), "cuda.shares": D(2), "mem": D(100)}, NOW)}
    (group,) = sum_up(capacity, [asked(ADA, count=2), asked(ADA, Q), asked(BOB, InstanceState.STOPPING)])
    assert (group.name, group.site, group.is_whole_site, group.seen_at) == ("gpu", "here", False, NOW)
    assert group.slots == ["cpu", "mem", "cuda.shares"]
    assert (group.used, group.waiting) == (
        {"cpu": D(6), "cuda.shares": D("1.5")},
        {"cpu": D(2), "cuda.shares": D("0.5")},
    )
    assert [group.free(slot) for slot in group.slots] == [D(2), D(100), D("0.5")]
    assert [(u.user, u.sessions, u.waiting, u.slots["cpu"]) for u in group.uses] == [(ADA, 2, 1, 4), (BOB, 1, 0, 2)]


def test_what_is_not_to_be_named_is_one_sum_at_the_end() -> None:
    (group,) = sum_up({}, [asked(None, count=5), asked(ADA), asked(None, Q)])
    assert [(u.user, u.sessions, u.waiting) for u in group.uses] == [(ADA, 1, 0), (None, 5, 1)]
    assert group.used["cpu"] == 12


def test_the_smallest_beyond_a_bound_are_summed_too() -> None:
    many = [asked(User("vision", f"p{n:03}", "ada"), count=n + 1) for n in range(MOST_USES + 2)]
    (group,) = sum_up({}, many)
    assert len(group.uses) == MOST_USES + 1
    assert group.uses[0].sessions == MOST_USES + 2
    assert (group.uses[-1].user, group.uses[-1].sessions) == (None, 1 + 2)


def test_a_site_that_makes_no_difference_between_groups_is_one_group() -> None:
    groups = sum_up({("here", ANY_GROUP): Told({"cpu": D(4)}, NOW)}, [asked(ADA), asked(ADA, group="cpu-only")])
    assert [(g.name, g.is_whole_site, g.used["cpu"], g.free("cpu")) for g in groups] == [("default", True, 4, 0)]


def test_a_group_that_is_used_and_of_which_nobody_has_told_has_no_capacity() -> None:
    capacity = {("here", "gpu"): Told({"cpu": D(8)}, NOW + timedelta(hours=1))}
    told, untold = sum_up(capacity, [asked(ADA, site="there")])
    assert (told.site, told.used, told.uses) == ("here", {}, [])
    assert (untold.site, untold.seen_at, untold.free("cpu"), untold.used["cpu"]) == ("there", None, None, 2)


def test_what_others_of_the_site_hold_is_not_free() -> None:
    cpu = Told({"cpu": D(16)}, NOW, used={"cpu": D(9)}, free={"cpu": D(7)}, largest_free={"cpu": D(4)}, agents=2)
    (group,) = sum_up({("here", "gpu"): cpu}, [asked(ADA)])
    assert (group.free("cpu"), group.used_by_anybody("cpu"), group.largest_free("cpu")) == (7, 9, 4)
    (group,) = sum_up({("here", "gpu"): cpu}, [asked(ADA, count=7)])
    assert (group.free("cpu"), group.used_by_anybody("cpu"), group.largest_free("cpu")) == (2, 14, 2), (
        "since it was told"
    )


def test_more_than_there_is_leaves_nothing_free_and_never_less() -> None:
    """A device may be taken away while sessions hold it."""
    (group,) = sum_up({("here", "gpu"): Told({"cpu": D(1)}, NOW)}, [asked(ADA)])
    assert (group.used["cpu"], group.free("cpu")) == (2, 0)


def test_a_task_asks_for_all_its_containers_and_its_first_accelerator_choice() -> None:
    task = a_task(
        0,
        "fit",
        cluster_size=3,
        resources=Resources({"cpu": D(2), "mem": D(64), "rocm.device": D(0)}),
        any_of=(Alternative({"cuda.device": D(1), "mem": D(128)}), Alternative({"atom.device": D(4)})),
    )
    assert task.asked == {"cpu": 6, "mem": 384, "cuda.device": 3}
