"""Who may do what: laws of callers."""

from __future__ import annotations

from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasttrack.domain.access import PERMISSIONS, Caller, Permission, Role, highest_roles
from fasttrack.errors import Forbidden, NotFound
from fasttrack.ids import ProjectId

PROJECTS = [ProjectId(UUID(int=i)) for i in range(1, 5)]

callers = st.builds(
    Caller,
    account_id=st.just(UUID(int=9)),
    name=st.just("ada"),
    is_superadmin=st.booleans(),
    roles=st.dictionaries(st.sampled_from(PROJECTS), st.sampled_from(Role)),
    scopes=st.frozensets(st.sampled_from(Permission)),
    only_project=st.none() | st.sampled_from(PROJECTS),
)


def test_each_role_may_do_all_that_the_one_before_may() -> None:
    assert all(PERMISSIONS[lower] < PERMISSIONS[higher] for lower, higher in pairwise(Role))


@given(callers, st.sampled_from(Permission), st.sampled_from(PROJECTS))
def test_a_token_narrows_and_never_widens(caller: Caller, permission: Permission, project: ProjectId) -> None:
    free = Caller(caller.account_id, caller.name, is_superadmin=caller.is_superadmin, roles=caller.roles)
    if caller.may(permission, project):
        assert free.may(permission, project)
        assert permission in caller.scopes
        assert caller.only_project in (None, project)


@given(callers, st.sampled_from(Permission), st.sampled_from(PROJECTS))
def test_what_cannot_be_seen_is_not_there(caller: Caller, permission: Permission, project: ProjectId) -> None:
    visible = caller.projects
    if caller.may(permission, project):
        caller.require(permission, project)
        return
    is_hidden = visible is not None and project not in visible
    with pytest.raises(NotFound if is_hidden else Forbidden):
        caller.require(permission, project, what="job")


@given(callers, st.sampled_from(Permission))
def test_everywhere_is_for_superadmins_without_a_narrowing_token(caller: Caller, permission: Permission) -> None:
    if caller.may_everywhere(permission):
        assert all(caller.may(permission, project) for project in PROJECTS)
        assert caller.is_superadmin
        caller.require_everywhere(permission)
    else:
        with pytest.raises(Forbidden):
            caller.require_everywhere(permission)


@given(st.lists(st.tuples(st.sampled_from(PROJECTS), st.sampled_from(Role))))
def test_of_several_roles_the_highest_counts(granted: list[tuple[ProjectId, Role]]) -> None:
    roles = highest_roles(granted)
    assert roles.keys() == {project for project, _ in granted}
    for project, role in granted:
        assert PERMISSIONS[role] <= PERMISSIONS[roles[project]]
