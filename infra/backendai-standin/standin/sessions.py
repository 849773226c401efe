"""The routes of sessions: `/session`, which every release has, and `/v2/sessions` of 26.x."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .bodies import object_of, schema_violation
from .creation import session_of
from .enqueueing import node, session_of_v2
from .ledger import Session
from .manager import Manager
from .problems import Problem, no_session, not_permitted


class Sessions:
    """`/session`."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    async def create(self, request: Request, key: str) -> Response:
        m = self._manager
        session, may_reuse = session_of(await object_of(request), key, m.generation, m.agents, m.folders)
        living = self._manager.ledger.living(key, session.name)
        if living is not None:
            if not may_reuse or living.image != session.image:
                raise Problem(400, "session-already-exists", data={"existingSessionId": living.id})
            body = {"sessionId": living.id, "sessionName": living.name, "status": living.status}
            return JSONResponse({**body, "service_ports": [], "created": False}, 201)
        m.policy.check(session, m.ledger, m.generation)
        m.lives.begin(session)
        body = {"sessionId": session.id, "sessionName": session.name, "status": "PENDING"}
        return JSONResponse({**body, "servicePorts": [], "created": True}, 201)

    async def match(self, request: Request, key: str) -> Response:
        wanted = request.query_params.get("id", "")
        found = [s for s in self._manager.ledger.named(key, wanted)] or [
            s for s in self._manager.ledger.sessions.values() if s.id == wanted and s.access_key == key
        ]
        return JSONResponse({"matches": [{"id": s.id, "name": s.name, "status": s.status} for s in found[:10]]})

    async def read(self, request: Request, key: str) -> Response:
        session = self._living(request, key)
        row = session.row()
        return JSONResponse(
            {
                "domainName": "default",
                "lang": session.image,
                "image": session.image,
                "tag": session.tag,
                "status": session.status,
                "statusInfo": str(session.info),
                "occupiedSlots": str({n: a for n, a in session.slots.items()}),  # Python's own notation, as it is
                "creationTime": row["created_at"],
                "terminationTime": row["terminated_at"],
            }
        )

    async def delete(self, request: Request, key: str) -> Response:
        session = self._living(request, key)
        forced = request.query_params.get("forced", "").lower() == "true"
        return JSONResponse({"stats": await self._manager.lives.end(session, forced=forced)})

    async def logs(self, request: Request, key: str) -> Response:
        reference = request.path_params["session"]
        found = [s for s in self._manager.ledger.named(key, reference)] if self._manager.generation.is_strict else []
        living = self._manager.ledger.living(key, reference)
        if living is None and len(found) > 1:
            matches = [{"id": s.id, "name": s.name} for s in found]
            raise Problem(404, "too-many-sessions-matched", data={"matches": matches})
        session = living or (found[0] if found else self._manager.ledger.sessions.get(reference))
        if session is None or session.access_key != key:
            raise no_session(self._manager.generation.unknown_name, reference)
        return JSONResponse({"result": {"logs": _log_of(self._manager, session)}})

    def _living(self, request: Request, key: str) -> Session:
        reference = request.path_params["session"]
        found = self._manager.ledger.living(key, reference) or self._manager.ledger.sessions.get(reference)
        if found is None or found.is_over or found.access_key != key:
            kind = "object-not-found" if found is not None else self._manager.generation.unknown_name
            raise no_session(kind, reference)
        return found


class SessionsV2:
    """`/v2/sessions`."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    async def enqueue(self, request: Request, key: str) -> Response:
        m = self._manager
        session = session_of_v2(await object_of(request), key, m.generation, m.agents, m.folders)
        if m.ledger.living(key, session.name) is not None:
            # An index of the database says it, which does not know which session it is.
            message = "duplicate key value violates unique constraint"
            raise Problem(409, "unique-constraint-violation", f'{message} "ix_sessions_unique_name_per_user"')
        m.policy.check(session, m.ledger, m.generation)
        m.lives.begin(session)
        return JSONResponse({"session": node(session)}, 201)

    async def read(self, request: Request, key: str) -> Response:
        return JSONResponse(node(self._find(request.path_params["session"], key)))

    async def terminate(self, request: Request, key: str) -> Response:
        given = await object_of(request)
        wanted = given.get("session_ids")
        if not isinstance(wanted, list):
            raise schema_violation(
                "session_ids", "Field required" if wanted is None else "Input should be a valid list"
            )
        forced = bool(given.get("forced", False))
        told: dict[str, list[str]] = {"cancelled": [], "terminating": [], "force_terminated": [], "skipped": []}
        sessions = [self._find(str(identifier), key) for identifier in wanted]
        for identifier, session in zip(map(str, wanted), sessions, strict=True):
            if session.is_over or session.status == "TERMINATING":
                told["skipped"].append(identifier)
                continue
            was_waiting = session.status == "PENDING"
            await self._manager.lives.end(session, forced=forced)
            how = "cancelled" if was_waiting else "force_terminated" if forced else "terminating"
            told[how].append(identifier)
        return JSONResponse(told)

    async def logs(self, request: Request, key: str) -> Response:
        session = self._find(request.path_params["session"], key)
        return JSONResponse({"logs": _log_of(self._manager, session)})

    def _find(self, identifier: str, key: str) -> Session:
        found = self._manager.ledger.sessions.get(identifier)
        if found is None or found.access_key != key:
            raise not_permitted(f"entity {identifier}")
        return found


def _log_of(manager: Manager, session: Session) -> str:
    """What its main container printed. :raises Problem: the agent that would know is away."""
    agent = manager.agents.find(session.kernels[0].agent)
    if not session.is_over and agent is not None and not agent.is_alive:
        if manager.generation.is_strict:
            raise Problem(500, "internal-server-error")
        raise Problem(503, "agent-connection-unavailable", f"Agent {agent.id} connection unavailable")
    return session.log.decode(errors="replace")
