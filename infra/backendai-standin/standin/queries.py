"""The GraphQL that clients ask: a real schema, so that a field which a manager does not have fails the query."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from graphql import build_schema, graphql_sync
from graphql.type import GraphQLSchema

from .agents import Agents
from .catalogue import IMAGES, id_of, image_row, project_row
from .generations import Generation
from .ledger import Ledger, Session
from .policy import Policy

_SCHEMA = """
scalar UUID
scalar JSONString
scalar DateTime
scalar BigInt
type Container { id: ID cluster_role: String cluster_idx: Int cluster_hostname: String LOCAL_RANK status: String
  status_info: String status_data: JSONString agent: String container_id: String occupied_slots: JSONString }
type ComputeSession { id: ID session_id: UUID name: String type: String status: String status_info: String
  status_data: JSONString status_history: JSONString result: String tag: String image: String architecture: String
  status_changed: DateTime created_at: DateTime terminated_at: DateTime starts_at: DateTime scheduled_at: DateTime startup_command: String
  scaling_group: String cluster_mode: String cluster_size: Int access_key: String occupying_slots: JSONString
  occupied_slots: JSONString agents: [String] mounts: [String] containers: [Container] NEWER }
type ComputeSessionList { items: [ComputeSession] total_count: Int }
type AgentSummary { id: ID status: String scaling_group: String schedulable: Boolean available_slots: JSONString
  occupied_slots: JSONString architecture: String }
type AgentSummaryList { items: [AgentSummary] total_count: Int }
type Label { key: String value: String }
type Limit { key: String min: String max: String }
type Image { id: ID name: String humanized_name: String tag: String registry: String architecture: String
  digest: String labels: [Label] aliases: [String] size_bytes: BigInt resource_limits: [Limit]
  supported_accelerators: [String] installed: Boolean }
type Policy { name: String default_for_unspecified: String total_resource_slots: JSONString
  max_concurrent_sessions: Int max_containers_per_session: Int max_session_lifetime: Int idle_timeout: Int
  allowed_vfolder_hosts: JSONString }
type Routing { routing_id: UUID session: UUID status: String traffic_ratio: Float error_data: JSONString HEALTH }
type Endpoint { endpoint_id: UUID name: String desired_session_count: Int lifecycle_stage: String status: String
  url: String tag: String resource_group: String retries: Int created_at: DateTime environ: JSONString routings: [Routing] }
type EndpointList { items: [Endpoint] total_count: Int }
type Group { id: UUID name: String domain_name: String is_active: Boolean OF_GROUPS }
type User { uuid: UUID email: String }
type ROOT {
  user(email: String): User
  compute_session(id: UUID!): ComputeSession
  compute_session_list(limit: Int!, offset: Int!, filter: String, order: String, status: String, access_key: String,
    domain_name: String, group_id: UUID): ComputeSessionList
  agent_summary_list(limit: Int!, offset: Int!, filter: String, order: String, scaling_group: String): AgentSummaryList
  images(is_installed: Boolean): [Image]
  image(reference: String!, architecture: String): Image
  keypair_resource_policy(name: String): Policy
  endpoint(endpoint_id: UUID!): Endpoint
  endpoint_list(limit: Int!, offset: Int!, filter: String, order: String): EndpointList
  groups(domain_name: String, is_active: Boolean): [Group]
}
"""
_CONDITION = re.compile(r'\s*(\w+)\s*(==|!=|like|in)\s*(\[[^\]]*\]|"(?:[^"\\]|\\.)*")\s*\Z')


class Queries:
    """Answers queries from what the cluster has."""

    def __init__(
        self, generation: Generation, ledger: Ledger, agents: Agents, policy: Policy, user_of: Callable[[str], str]
    ) -> None:
        is_new = not generation.is_strict
        self._schema = _make(
            _SCHEMA.replace("LOCAL_RANK", "local_rank: Int" if is_new else "")
            .replace("NEWER", "priority: Int requested_slots: JSONString vfolder_mounts: [String]" if is_new else "")
            .replace("HEALTH", "health_status: String" if is_new else "")
            .replace("OF_GROUPS", "type: String" if is_new else "")
            .replace("ROOT", "Query" if is_new else "Queries")
            + ("" if is_new else "\nschema { query: Queries }")
        )
        self.endpoint: Callable[[str, str], dict[str, Any] | None] = lambda key, identifier: None
        self.endpoints: Callable[[str], list[dict[str, Any]]] = lambda key: []
        self._is_new = is_new
        self._statuses = generation.statuses
        self._ledger = ledger
        self._agents = agents
        self._policy = policy
        self._user_of = user_of

    def answer(self, given: Any, access_key: str) -> dict[str, Any]:
        """`data` and `errors`, as `/admin/gql` has them."""
        root = {
            "compute_session": lambda info, id: self._session(access_key, id),
            "compute_session_list": lambda info, **asked: self._sessions(access_key, **asked),
            "agent_summary_list": lambda info, limit, offset, **_: self._summaries(limit, offset),
            "images": lambda info, **_: [image_row(reference) for reference in IMAGES],
            "image": lambda info, reference, **_: image_row(reference) if reference in IMAGES else None,
            "keypair_resource_policy": self._policy.row(),
            "groups": [project_row()],
            "endpoint_list": lambda info, **asked: self._endpoints(access_key, **asked),
            "user": lambda info, **_: {
                "uuid": id_of("user", self._user_of(access_key)),
                "email": self._user_of(access_key),
            },
            "endpoint": lambda info, endpoint_id: self.endpoint(access_key, str(endpoint_id)),
        }
        done = graphql_sync(
            self._schema, str(given.get("query", "")), root, variable_values=given.get("variables") or {}
        )
        errors = [error.formatted for error in done.errors] if done.errors else None
        return {"data": done.data, "errors": errors}

    def _session(self, access_key: str, identifier: str) -> dict[str, Any] | None:
        found = self._ledger.sessions.get(str(identifier))
        return self._row(found) if found is not None and found.access_key == access_key else None

    def _row(self, session: Session) -> dict[str, Any]:
        row = session.row()
        if self._is_new and not session.data:
            row["status_data"] = None
        if self._is_new and session.is_over:
            row |= {"occupying_slots": "{}", "occupied_slots": "{}"}
        return row

    def _sessions(
        self,
        access_key: str,
        limit: int,
        offset: int,
        filter: str | None = None,
        status: str | None = None,
        order: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        found = [s for s in self._ledger.sessions.values() if s.access_key == access_key]
        if order in (None, "-created_at"):
            found.reverse()
        if status:
            wanted = set(status.split(","))
            for unknown in wanted - self._statuses:  # one of a later release fails the whole query
                raise KeyError(unknown)
            found = [s for s in found if s.status in wanted]
        for condition in (filter or "").split("&") if filter else []:
            name, holds = _condition(condition)
            # A row is dear to make, and most questions are by name.
            found = [s for s in found if holds(s.name if name == "name" else self._row(s).get(name))]
        return {"total_count": len(found), "items": [self._row(s) for s in found[offset : offset + limit]]}

    def _endpoints(
        self, access_key: str, limit: int, offset: int, filter: str | None = None, **_: Any
    ) -> dict[str, Any]:
        rows = self.endpoints(access_key)
        if filter and self._is_new:  # 23.09 takes a filter, and does nothing with it
            conditions = [_condition(text) for text in filter.split("&")]
            rows = [row for row in rows if all(holds(row.get(name)) for name, holds in conditions)]
        return {"total_count": len(rows), "items": rows[offset : offset + limit]}

    def _summaries(self, limit: int, offset: int) -> dict[str, Any]:
        if self._policy.hides_agents:
            raise PermissionError("Forbidden operation.")
        items = [
            {
                "id": agent.id,
                "status": "ALIVE" if agent.is_alive else "LOST",
                "scaling_group": agent.group,
                "schedulable": agent.is_schedulable,
                "available_slots": json.dumps({n: str(a) for n, a in agent.slots.items()}),
                "occupied_slots": json.dumps({n: str(agent.used.get(n, 0)) for n in agent.slots}),
                "architecture": agent.architecture,
            }
            for agent in self._agents.all
        ]
        return {"total_count": len(items), "items": items[offset : offset + limit]}


def _condition(text: str) -> tuple[str, Callable[[Any], bool]]:
    """Of a filter: which field it is about, and what its value must be. :raises ValueError: it is none."""
    found = _CONDITION.match(text)
    if found is None:
        raise ValueError(f"Invalid filter: {text.strip()}")
    name, operator, told = found.groups()
    given = json.loads(told)
    if operator == "in":
        chosen = frozenset(given)
        return name, lambda value: value in chosen
    if operator == "like":
        pattern = re.compile(re.escape(given).replace("%", ".*").replace("_", "."))
        return name, lambda value: pattern.fullmatch(str(value)) is not None
    return name, lambda value: bool(value == given) is (operator == "==")


def _make(text: str) -> GraphQLSchema:
    return build_schema(text)
