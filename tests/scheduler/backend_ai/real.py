"""A real Backend.AI cluster of this machine, as its scripts describe it: what tests do with it, and to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import httpx

from fasttrack.backend_ai.gateway import Gateway
from fasttrack.backend_ai.signing import Keypair
from fasttrack_scheduler.backends.backend_ai.backend import BackendAI


class RealCluster:
    """Its manager, its agents and its files."""

    _started: ClassVar[list[subprocess.Popen[bytes]]] = []  # they outlive the tests, as they outlived `up.sh`

    def __init__(self, description: str) -> None:
        """:param description: the file with the JSON that `up.sh` ends with."""
        self.told: dict[str, Any] = json.loads(Path(description).read_text().strip().splitlines()[-1])
        self.endpoint = str(self.told["endpoint"])
        self.release = str(self.told["version"])
        self.image = str(self.told["image"])
        self.home = Path(self.told["home"])

    def backend(self, **options: Any) -> BackendAI:
        """A backend with the key of a plain user."""
        keypair = Keypair(self.told["access_key"], self.told["secret_key"])
        options = {"domain": self.told["domain"], "folder_host": self.told["vfolder_host"]} | options
        return BackendAI(
            Gateway(self.endpoint, keypair), site=f"backend_ai:{urlsplit(self.endpoint).netloc}", **options
        )

    def files(self, name: str) -> list[Path]:
        """Files and directories of that name in any folder of the cluster."""
        return list((self.home / "vfroot").glob(f"**/{name}"))

    def stop_manager(self) -> None:
        """As its service manager stops it."""
        self._kill("manager", signal.SIGTERM)

    def start_manager(self) -> None:
        """And wait until it answers."""
        module = "ai.backend.manager.server"
        self._spawn("manager", "manager", ["-m", module, "-f", "manager.toml"], "docker.sock")
        for _ in range(600):
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.endpoint}/").status_code == 200:
                    return
            time.sleep(0.2)
        raise AssertionError("the manager does not come back")

    def kill_agent(self, name: str) -> None:
        """Kill an agent such as `i-warboy`; its containers go on."""
        self._kill(f"agent-{name.removeprefix('i-')}-main", signal.SIGKILL)

    def start_agent(self, name: str) -> None:
        """Have it come back."""
        kind = name.removeprefix("i-")
        arguments = ["-m", "ai.backend.agent.server", "-f", "agent.toml"]
        self._spawn(f"agent-{kind}-main", f"agents/{kind}", arguments, f"docker-{name}.sock")

    def _kill(self, service: str, how: signal.Signals) -> None:
        pid = int((self.home / "run" / f"{service}.pid").read_text())
        children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
        for process in [pid, *(map(int, children.split()) if how is signal.SIGKILL else ())]:
            with suppress(ProcessLookupError):
                os.kill(process, how)
        for _ in range(300):
            if not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text():
                return
            time.sleep(0.1)
        raise AssertionError(f"{service} does not end")

    def _spawn(self, service: str, folder: str, arguments: list[str], docker: str) -> None:
        venv = self.home.parent / f"venv-{self.release}" / "bin"
        environ = {
            **os.environ,
            "PATH": f"{venv}:{os.environ['PATH']}",
            "DOCKER_HOST": f"unix://{self.home}/run/{docker}",
        }
        with open(self.home / "log" / f"{service}.log", "ab") as log:
            process = subprocess.Popen(
                [str(venv / "python"), *arguments], cwd=self.home / folder, env=environ, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._started.append(process)
        (self.home / "run" / f"{service}.pid").write_text(f"{process.pid}\n")
