"""The API's own pages in a real Chromium that reaches nothing but this machine: `make seen` leaves pictures in `seen/`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import httpx

PAGES = {"graphiql": "/graphql/ui", "docs": "/docs"}
_LEAST = 10_000  # bytes; a page on which nothing was drawn has far fewer


def main() -> None:
    """Start FastTrack, take a picture of each page, and say what is there."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("there is no Chromium on this machine")
    pictures = Path("seen")
    pictures.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ft-seen-") as home:
        environment = {**os.environ, "FASTTRACK_STATE_DIR": f"{home}/state", "FASTTRACK_API_PORT": "18811"}
        fasttrack = [sys.executable, "-m", "fasttrack_cli"]
        with subprocess.Popen([*fasttrack, "up"], env=environment, stdout=subprocess.DEVNULL) as server:
            try:
                _wait("http://127.0.0.1:18811/readyz")
                for name, path in PAGES.items():
                    picture = pictures / f"{name}.png"
                    picture.unlink(missing_ok=True)
                    subprocess.run(
                        [
                            browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={home}/browser",
                            "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--window-size=1280,800",
                            "--virtual-time-budget=8000", f"--screenshot={picture}", f"http://127.0.0.1:18811{path}",
                        ],
                        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60,
                    )  # fmt: skip
                    size = picture.stat().st_size
                    sys.stdout.write(f"{picture}: {size} bytes\n")
                    if size < _LEAST:
                        sys.exit(f"{path} shows nothing")
            finally:
                server.terminate()


def _wait(address: str) -> None:
    for _ in range(300):
        with suppress(httpx.HTTPError):
            if httpx.get(address).status_code == 200:
                return
        time.sleep(0.2)
    sys.exit("FastTrack does not get ready")


if __name__ == "__main__":
    main()
