"""The panel for tests at `/standin`: what goes wrong, and what no manager tells."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from .manager import Manager


class Panel:
    """Not signed, and there whatever the manager does."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    async def faults(self, request: Request) -> Response:
        """POST: plan faults. DELETE: forget them. GET: what was done here, which no manager tells."""
        if request.method == "POST":
            given = json.loads(await request.body() or b"null")
            try:
                for entry in given if isinstance(given, list) else [given]:
                    self._manager.faults.plan(entry)
            except (ValueError, TypeError) as error:
                return PlainTextResponse(f"{error}\n", 400)
        elif request.method == "DELETE":
            self._manager.faults.clear()
        sessions = [
            {
                "id": s.id,
                "name": s.name,
                "status": s.status,
                "result": s.result,
                "executions": s.executions,
                "agents": [k.agent for k in s.kernels if k.agent],
                "history": s.history,
                "slots": {name: str(amount) for name, amount in s.slots.items()},
            }
            for s in self._manager.ledger.sessions.values()
        ]
        return JSONResponse(
            {
                "requests": self._manager.requests,
                "kinds": self._manager.kinds,
                "sessions": sessions,
                "planned": len(self._manager.faults.planned),
            }
        )

    async def policy(self, request: Request) -> Response:
        """GET: the limits of every key. POST: change some of them, or `rate_limit` and `rate_window`."""
        m = self._manager
        if request.method == "POST":
            given = json.loads(await request.body() or b"{}")
            try:
                m.rates.limit = int(given.pop("rate_limit", m.rates.limit))
                m.rates.window = float(given.pop("rate_window", m.rates.window))
                m.policy.change(given)
            except (ValueError, TypeError, AttributeError) as error:
                return PlainTextResponse(f"{error}\n", 400)
            await m.lives.look_again()
        return JSONResponse({**m.policy.row(), "rate_limit": m.rates.limit, "rate_window": m.rates.window})

    async def operate(self, request: Request) -> Response:
        """`stop` and `start` the manager, have it be `late` to write RUNNING or `early`, `cut` its streams, `lose` and
        `find` an agent, `end` a container such as `sub1` under a session that goes on.
        """
        match request.path_params["what"]:
            case "stop":
                self._manager.is_down = True
                self._manager.lives.is_up.clear()
                self._manager.events.cut()
            case "start":
                self._manager.is_down = False
                self._manager.lives.is_up.set()
            case "late" | "early":
                self._manager.lives.is_late = request.path_params["what"] == "late"
            case "cut":
                self._manager.events.cut()
            case "lose":
                await self._manager.lives.lose_agent(request.query_params["agent"])
            case "find":
                await self._manager.lives.find_agent(request.query_params["agent"])
            case "end":
                given = request.query_params
                try:
                    self._manager.lives.end_container(given.get("session", ""), given.get("container", ""))
                except KeyError as error:
                    return PlainTextResponse(f"no container {error} runs beside a main one\n", 404)
            case _:
                return PlainTextResponse(
                    "stop, start, late, early, cut, lose?agent=, find?agent=, end?session=&container=\n", 404
                )
        return JSONResponse({})
