"""Takes messages as a Slack incoming webhook does and prints them, one a line: to try the example without Slack.

`python examples/notify/receiver.py [PORT]` prints its address first. It listens on this machine only.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(BaseHTTPRequestHandler):
    """Answers `ok` to a message and `invalid_payload` to anything else, as Slack does."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            text = json.loads(body)["text"]
        except (ValueError, KeyError, TypeError):
            self._answer(400, b"invalid_payload")
            return
        print(text, flush=True)
        self._answer(200, b"ok")

    def log_message(self, *_: object) -> None:
        """Print messages only."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Receiver)
    print(f"http://127.0.0.1:{server.server_port}/services/T000/B000/XXXX", flush=True)
    with suppress(KeyboardInterrupt):
        server.serve_forever()
