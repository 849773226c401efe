"""The variables a task starts with: a clean set, never the service's own (S47)."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Mapping

from .folders import HOME, OUTPUTS, VFROOT, Folders
from .process import SESSION_MARK

USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(
    *,
    name: str,
    session_id: str,
    image: str,
    asked: Mapping[str, str],
    devices: Mapping[str, str],
    folders: Folders,
    work: str | None,
) -> dict[str, str]:
    """Variables of one session. `work` is its real scratch directory if it is not isolated, else `None`.

    What the task asks for goes over our defaults; what names the session and its devices goes over that.
    """
    home = HOME if work is None else work
    vfroot, outputs = (VFROOT, OUTPUTS) if work is None else (folders.vfroot, folders.outputs)
    inputs = [f"/pipeline/input{n}" if work is None else real for n, real in enumerate(folders.inputs, 1)]
    found = {
        "PATH": f"{os.path.dirname(sys.executable)}:{USUAL_PATH}",
        "HOME": home,
        "USER": _user(),
        "LOGNAME": _user(),
        "SHELL": "/bin/sh",
        "LANG": os.environ.get("LANG") or "C.UTF-8",
        "PIPELINE_VFROOT": vfroot,
        "PIPELINE_OUTPUT_ROOT": outputs,
        "PIPELINE_INPUT_ROOT": inputs[0] if inputs else "",
    }
    if zone := os.environ.get("TZ"):
        found["TZ"] = zone
    found.update(asked)
    found.update(
        {
            SESSION_MARK: session_id,
            "BACKENDAI_SESSION_NAME": name,
            "BACKENDAI_KERNEL_ID": session_id,
            "BACKENDAI_KERNEL_IMAGE": image,
            "BACKENDAI_CLUSTER_SIZE": "1",
            "BACKENDAI_CLUSTER_RANK": "0",
            "BACKENDAI_CLUSTER_LOCAL_RANK": "0",
            "BACKENDAI_CLUSTER_IDX": "1",
            "BACKENDAI_CLUSTER_ROLE": "main",
            "BACKENDAI_CLUSTER_HOST": "main1",
            "BACKENDAI_CLUSTER_HOSTS": "main1",
            "BACKENDAI_CLUSTER_REPLICAS": "main:1",
            "FASTTRACK_VFROOT": vfroot,
            "FASTTRACK_OUTPUTS": outputs,
            **{f"FASTTRACK_INPUT{n}": path for n, path in enumerate(inputs, 1)},
            **devices,
        }
    )
    return found


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "work"
