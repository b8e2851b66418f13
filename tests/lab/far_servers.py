"""TCP servers inside a node's namespace, for what goes through forwards: run by tests with that namespace's Python."""

from __future__ import annotations

import hashlib
import json
import socketserver
import sys
import threading

BLOCK = bytes(range(256)) * 256


class Handler(socketserver.StreamRequestHandler):
    """One line says what is wanted."""

    def handle(self) -> None:
        """echo, digest (answers behind the client's end), blob N, end (ends first, then reads on), http."""
        word, *rest = self.rfile.readline().decode("latin-1").split() or [""]
        if word == "echo":
            while data := self.rfile.read1(65_536):
                self.request.sendall(data)
        elif word == "digest":
            digest, size = hashlib.sha256(), 0
            while data := self.rfile.read1(65_536):
                digest.update(data)
                size += len(data)
            self.wfile.write(f"{size} {digest.hexdigest()}\n".encode())
        elif word == "blob":
            for _ in range(int(rest[0]) // len(BLOCK)):
                self.wfile.write(BLOCK)
        elif word == "end":
            self.wfile.write(b"first\n")
            self.request.shutdown(1)
            self.server.heard.append(self.rfile.read().decode())  # type: ignore[attr-defined]
        elif word == "heard":
            self.wfile.write(json.dumps(self.server.heard).encode())  # type: ignore[attr-defined]
        elif word == "GET":
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")


class Server(socketserver.ThreadingTCPServer):
    """Listens on a free port, or on the same one on a further address."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int]) -> None:
        self.heard: list[str] = []
        super().__init__(address, Handler)


if __name__ == "__main__":
    port = 0
    for host in sys.argv[1:]:
        server = Server((host, port))
        port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(port, flush=True)
    sys.stdin.read()
