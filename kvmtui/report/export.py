"""`kvmtui export`: what hosts and VMs count and hold, for Prometheus to fetch."""

import io
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, NoReturn, TextIO
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client.exposition import make_wsgi_app
from prometheus_client.registry import CollectorRegistry

from kvmtui.config import ConfigError
from kvmtui.engine.engine import Engine
from kvmtui.report.listen import Address
from kvmtui.report.metrics import FleetCollector

_log = logging.getLogger(__name__)
_PATIENCE_S = 30.0
"""How long a client may take to ask and to read, all in all."""
_AT_ONCE = 16
"""How many clients are answered at a time; each has a thread, and more are turned away."""
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def report_export(engine: Engine, address: Address, err: TextIO | None = None) -> NoReturn:
    """Serve until interrupted; raises `ConfigError` where the address cannot be had."""
    server = serve(engine, address)
    engine.start()
    where = Address(address.host or "*", server.server_port)
    print(f"kvmtui: metrics are at http://{where}/metrics", file=err or sys.stderr, flush=True)
    while True:
        threading.Event().wait()


def serve(engine: Engine, address: Address) -> WSGIServer:
    """Serve the metrics of an engine in threads of its own; raises `ConfigError` where the address cannot be had."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FleetCollector(engine))
    try:
        server = _Server(address)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot listen at {address}: {why}; --listen takes another address or port") from error
    server.set_app(_application(make_wsgi_app(registry)))
    threading.Thread(target=server.serve_forever, name="export", daemon=True).start()
    return server


class _Handler(WSGIRequestHandler):
    """Answers one client."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as it is called there
        """Say nothing."""

    def get_stderr(self) -> TextIO:
        """Return where the server writes of defects, which are in the log already."""
        return io.StringIO()


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each client in a thread of its own."""

    daemon_threads = True

    def __init__(self, address: Address) -> None:
        host = address.host or ("::" if socket.has_dualstack_ipv6() else "0.0.0.0")  # noqa: S104 - it was asked for
        found = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, _, _, _, where = found[0]
        self._clients: dict[Any, float] = {}
        """Since when each is being answered."""
        super().__init__((str(where[0]), address.port), _Handler)

    def server_bind(self) -> None:
        """Bind, without asking a name server what this machine is called."""
        if self.address_family is socket.AF_INET6:
            # "::" alone stands for all addresses, also those of IPv4.
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "kvmtui", self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a client, or turn it away."""
        if len(self._clients) >= _AT_ONCE:
            _log.warning("%d clients are being answered; another was turned away", _AT_ONCE)
            self.shutdown_request(request)
            return
        self._clients[request] = time.monotonic()
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Hang up on clients that take too long, also those that ask or read byte by byte."""
        now_s = time.monotonic()
        for request, since_s in self._clients.copy().items():
            if now_s - since_s > _PATIENCE_S:
                # It may be through at this very moment.
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        """Be done with a client."""
        self._clients.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Take note of a client that went away, or took too long."""
        _log.info("a client of the metrics", exc_info=True)


def _application(metrics: Application) -> Application:
    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/":
            start_response("200 OK", [("Content-Type", "text/html")])
            return [b'<a href="/metrics">kvmtui: metrics</a>\n']
        if path != "/metrics":
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"metrics are at /metrics\n"]
        try:
            return metrics(environ, start_response)
        except Exception:
            _log.exception("a scrape")
            raise

    return answer
