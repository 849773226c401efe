"""The life of a session: from waiting for room to its end, with the lies that real managers tell on the way."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from datetime import UTC, datetime

from .agents import Agents
from .events import Events
from .folders import Folders
from .generations import Generation
from .ledger import Ledger, Session
from .mounts import Mount
from .policy import Policy, scheduler_data
from .pretending import Pretended
from .problems import Problem

_BEFORE = "Kernel started at: {at}\r\nLOCAL_USER_ID=1000\r\nExecuting the main program: /opt/kernel/su-exec\r\n"
_AFTER = "python-kernel: [INFO] the batch job has ended\r\n"
_LINGERS = 40
"""Steps that a command goes on after its session was ended: 10 to 12 s on real ones."""
Command = asyncio.subprocess.Process | Pretended
_NO_ROOM = "Could not find a contiguous resource region in any agent big enough to host the session"


class Lives:
    """Moves all sessions of a cluster through their statuses."""

    def __init__(
        self,
        generation: Generation,
        ledger: Ledger,
        agents: Agents,
        events: Events,
        folders: Folders,
        policy: Policy,
        step: float,
        *,
        pretends: bool = False,
    ) -> None:
        """:param step: seconds that each status before RUNNING takes. :param pretends: no command is run."""
        self._generation = generation
        self._ledger = ledger
        self._agents = agents
        self._events = events
        self._folders = folders
        self._policy = policy
        self._step = step
        self._pretends = pretends
        self._room = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._processes: dict[str, Command] = {}
        self.is_late = False
        """Whether RUNNING is written only when the command is over: the race of 23.09, which a busy manager loses."""
        self.is_up = asyncio.Event()
        """While the manager is away commands end unseen: their results are lost (23.09), or told later (26.x)."""
        self.is_up.set()

    def begin(self, session: Session) -> None:
        """Take a session that was just written."""
        self._ledger.add(session)
        self._events.session("session_pending", session, "Session enqueued")
        self._events.session("session_enqueued", session, "user-requested")
        self._events.call_back(session, "enqueued")
        self._spawn(self._live(session))

    async def close(self) -> None:
        """End everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for process in self._processes.values():
            _kill(process)
        await asyncio.gather(*(process.wait() for process in self._processes.values()))

    def _spawn(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self, session: Session) -> None:
        if not await self._placed(session):
            return
        for status in self._generation.steps:
            session.enter(status, self._written("scheduled" if status == "SCHEDULED" else ""))
            self._events.session(f"session_{status.lower()}", session, "triggered-by-scheduler")
            self._events.call_back(session, status.lower())
            await asyncio.sleep(self._step)
            if session.ending is not None:
                if not session.is_over:
                    await self._over(session, session.ending)
                return
        self._events.kernels("kernel_preparing", session, "")
        self._events.kernels("kernel_creating", session, "")
        lost = next((m for m in session.mounts if not m.source.exists()), None)
        if lost is not None:
            await self._failed_to_create(session, lost)
            return
        process = await self._start(session)
        if session.is_over:  # by force, a moment ago
            _kill(process)
            return
        if session.ending is not None:  # asked for while the container was made
            await self._over(session, session.ending)
            return
        self._events.kernels("kernel_started", session, "")
        if self.is_late:
            await process.wait()
        early = self.is_late and self._generation.leaves_sessions_behind
        session.enter("RUNNING", self._written(""))
        self._events.session("session_started", session, "triggered-by-scheduler")
        self._events.call_back(session, "started")
        if session.kind != "batch":
            await process.wait()
            return
        await self._run(session, process, early)

    def _written(self, info: str) -> str | None:
        """What is written as the reason on the way; 26.x writes none before the end."""
        return info if self._generation.leaves_sessions_behind else None

    async def _placed(self, session: Session) -> bool:
        async with self._room:
            while True:
                if session.ending is not None:
                    return False
                failed = self._policy.failed(self._ledger, session)
                if failed is None and self._agents.place(session):
                    return True
                if not self._generation.deletes_any_time:  # 26.x says nothing
                    session.info = "predicate-checks-failed" if failed else "no-available-instances"
                    message = f"{_NO_ROOM} (id: {session.id}, resource group: {session.group})"
                    session.data = scheduler_data(failed, message)
                await self._room.wait()

    async def _failed_to_create(self, session: Session, mount: Mount) -> None:
        """No container without its mounts: nobody looked for the directory before the agent did."""
        told = f'invalid mount config for type "bind": bind source path does not exist: /vfroot/{mount.inside}'
        error = {"src": "agent", "name": "DockerError", "repr": f"DockerError(400, '{told}')"}
        for kernel in session.kernels:
            kernel.info = "failed-to-create"
        if self._generation.leaves_sessions_behind:
            session.data = {"error": error}
            await self._over(session, "failed-to-create")
            return
        session.data = {"error": {"error": error}}
        session.info = None
        await self._over(session, None, reason="abnormal-termination", kernel_reason="failed-to-create")

    async def _start(self, session: Session) -> Command:
        session.executions += 1
        if self._pretends:
            pretended = self._processes[session.id] = Pretended(session.environ)
            return pretended
        home = self._folders.home_of(session)
        environ = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(home),
            "USER": "work",
            "BACKENDAI_SESSION_ID": session.id,
            "BACKENDAI_SESSION_NAME": session.name,
            "BACKENDAI_CLUSTER_SIZE": str(session.cluster_size),
            "BACKENDAI_CLUSTER_HOSTS": ",".join(k.host for k in session.kernels),
            "BACKENDAI_CLUSTER_HOST": "main1",
            "BACKENDAI_CLUSTER_ROLE": "main",
            "BACKENDAI_CLUSTER_IDX": "1",
            "BACKENDAI_CLUSTER_LOCAL_RANK": "0",
            **session.environ,
        }
        session.log += _BEFORE.format(at=session.history["PENDING"]).encode()
        command = session.command if session.kind == "batch" else "exec sleep 1000000"
        process = await asyncio.create_subprocess_exec(
            *self._folders.argv(session, ["/bin/sh", "-c", command]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environ,
            cwd=home,
            start_new_session=True,
        )
        self._processes[session.id] = process
        self._spawn(_read(process, session))
        return process

    async def _run(self, session: Session, process: Command, early: bool) -> None:
        timed_out = False
        try:
            code = await asyncio.wait_for(process.wait(), session.timeout)
        except TimeoutError:
            timed_out, code = True, -2
            _kill(process)
        self._processes.pop(session.id, None)
        if session.ending is not None or session.is_over:
            return  # whoever ends it goes on
        agent = self._agents.find(session.kernels[0].agent)
        if agent is not None and not agent.is_alive:
            return  # nobody is left who could tell of it
        if not self.is_up.is_set() and self._generation.leaves_sessions_behind:
            return
        await self.is_up.wait()
        session.log += _AFTER.encode()
        session.result = "SUCCESS" if code == 0 else "FAILURE"
        good = code == 0
        self._events.session(
            "session_success" if good else "session_failure", session, "task-done" if good else "task-failed", code
        )
        self._events.call_back(session, "success" if good else "failure")
        if early:
            return  # "Cannot destroy sessions in scheduled/preparing status", and it never tries again
        info = "task-timeout" if timed_out else "task-finished" if good else self._generation.failed_info
        await self._over(session, info, keeps_result=True)

    async def _let_go(self, session: Session) -> None:
        """The command goes on for a while, with no signal that it could notice, and is killed."""
        process = self._processes.get(session.id)
        if process is None:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _LINGERS * self._step)
        _kill(process)
        await process.wait()
        self._processes.pop(session.id, None)

    async def _over(
        self,
        session: Session,
        info: str | None,
        *,
        keeps_result: bool = False,
        reason: str | None = None,
        kernel_reason: str | None = None,
    ) -> None:
        """:param info: what is written; `None`: nothing, as where the scheduler of 26.x ends a session itself.

        :param reason: what is told of the session, and `kernel_reason` of its containers; by default the same.
        """
        reason = reason or info or ""
        kernel_reason = kernel_reason or reason
        session.enter("TERMINATING", "" if info is not None else None)
        self._events.session("session_terminating", session, reason)
        self._events.kernels("kernel_terminating", session, kernel_reason, -1)
        self._events.call_back(session, "terminating")
        await self._let_go(session)
        await asyncio.sleep(self._step / 2)
        if session.is_over:  # by force, meanwhile
            return
        if not keeps_result and not self._generation.leaves_sessions_behind:
            session.result = "UNDEFINED"
        session.enter("TERMINATED", info)
        for _ in range(3 if not self._generation.deletes_any_time else 2):
            self._events.kernels("kernel_terminated", session, kernel_reason, -1)
        self._events.session("session_terminated", session, reason)
        self._events.call_back(session, "terminated")
        await self._freed(session)

    async def _freed(self, session: Session) -> None:
        async with self._room:
            self._agents.release(session)
            self._room.notify_all()

    async def look_again(self) -> None:
        """Look whether anything that waits may start now."""
        async with self._room:
            self._room.notify_all()

    async def end(self, session: Session, *, forced: bool) -> dict[str, str]:
        """End a session as its user asks. :raises Problem: not in this status."""
        info = "force-terminated" if forced else "user-requested"
        is_old = not self._generation.deletes_any_time
        if forced and not is_old and session.status != "PENDING":
            await self._forced(session, info)
            return {"status": "terminated"}
        match session.status:
            case "PENDING":
                session.ending = info
                # The scheduler's words stay (23.09); containers carry the reason.
                for kernel in session.kernels:
                    kernel.info = "user-requested"
                session.enter("CANCELLED", None if is_old else "user-requested")
                self._events.kernels("kernel_cancelled", session, "user-requested", -1)
                self._events.session("session_cancelled", session, "user-requested")
                async with self._room:
                    self._room.notify_all()
                return {"status": "terminated" if is_old else "cancelled"}
            case "TERMINATING" if not is_old:
                return {}
            case "RUNNING":
                session.ending = info
                over = self._over(session, info, keeps_result=session.result != "UNDEFINED")
                if is_old:
                    await over  # it answers when the container is gone
                else:
                    self._spawn(over)
                return {"status": "terminated"}
            case _ if is_old and not forced:
                raise Problem(
                    403, "generic-forbidden", "Cannot destroy sessions in scheduled/preparing/terminating/error status"
                )
        session.ending = info
        if session.result != "UNDEFINED":  # moved back from RUNNING: no life goes on that would see to it
            await self._over(session, info, keeps_result=True)
        return {"status": "terminated"}

    async def _forced(self, session: Session, info: str) -> None:
        """From 26.3 on it is over at once in the manager's eyes; its command goes on until the agent gets to it."""
        session.ending = info
        session.history["TERMINATING"] = datetime.now(UTC).isoformat()
        session.enter("TERMINATED", info)
        self._events.session("session_terminated", session, info)
        await self._freed(session)
        self._spawn(self._let_go(session))

    async def lose_agent(self, name: str) -> None:
        """An agent dies with what runs on it; no event tells of it."""
        agent = self._agents.find(name)
        if agent is None:
            raise KeyError(name)
        agent.is_alive = False
        for session in self._ledger.sessions.values():
            if session.kernels[0].agent == name:  # where its command runs
                process = self._processes.pop(session.id, None)
                if process is not None:
                    _kill(process)

    def end_container(self, name: str, host: str) -> None:
        """A container of a running session dies, one in which the command does not run; the session goes on without it.

        :raises KeyError: there is none of that name in a session of that name.
        """
        session = next((s for s in self._ledger.sessions.values() if s.name == name and s.status == "RUNNING"), None)
        kernel = next((k for k in session.kernels[1:] if k.host == host), None) if session is not None else None
        if session is None or kernel is None:
            raise KeyError(f"{name}/{host}")
        kernel.status, kernel.info = "TERMINATED", "self-terminated"
        self._events.kernels("kernel_terminated", session, "self-terminated", -1, only=host)

    async def find_agent(self, name: str) -> None:
        """The agent comes back; what ran on it does not."""
        agent = self._agents.find(name)
        if agent is None:
            raise KeyError(name)
        agent.is_alive = True
        async with self._room:
            self._room.notify_all()


async def _read(process: asyncio.subprocess.Process, session: Session) -> None:
    assert process.stdout is not None
    while data := await process.stdout.read(65536):
        session.log += data.replace(b"\n", b"\r\n")
        del session.log[: max(0, len(session.log) - 10 * 1024 * 1024)]


def _kill(process: Command) -> None:
    if isinstance(process, Pretended):
        process.kill()
    elif process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
