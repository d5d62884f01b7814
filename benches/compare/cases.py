"""What is measured, of whom, and what Sluice has promised for it."""

from dataclasses import dataclass, field

FILES = {"1k.txt": 1024, "100k.txt": 100 * 1024}

# No proxy, but a loop that sends what a cache would: what the system alone takes.
FLOOR = "floor"
PEERS = ["nginx", "haproxy", "varnish"]
ALL = ["sluice", *PEERS]

ORIGIN_PORT = 7000
PORT = {"nginx": 7001, "haproxy": 7002, "sluice": 7003, "varnish": 7005, FLOOR: 7008}
# Where HAProxy caches, and who reads what is logged there.
HAPROXY_CACHED_PORT, HAPROXY_LOG_PORT = 7006, 7007
# Where each speaks TLS. Varnish does not: it expects somebody in front of it who does.
TLS_PORT = {"nginx": 7011, "haproxy": 7012, "sluice": 7013}

CPU, MILLISECONDS, KIBIBYTES = "µs CPU", "ms", "KiB"


@dataclass
class Budget:
    """No more than so many times the best of these peers, or than a figure of its own."""

    times: float | None = None
    of: list[str] = field(default_factory=lambda: PEERS)
    most: float | None = None


@dataclass
class Case:
    kind: str  # which function of measures.py
    path: str
    proxies: list[str]
    title: str
    unit: str = CPU
    cached: bool = False
    tls: bool = False
    budget: Budget | None = None
    # What the kind takes besides.
    how: dict = field(default_factory=dict)

    def port(self, proxy: str) -> int:
        if self.tls:
            return TLS_PORT[proxy]
        return HAPROXY_CACHED_PORT if self.cached and proxy == "haproxy" else PORT[proxy]

    def expected(self) -> bytes:
        return b"a" * FILES[self.path.rpartition("/")[2]]


SMALL, LARGE = "/cached/1k.txt", "/cached/100k.txt"
OVER_TLS = ["sluice", "nginx", "haproxy"]
AS_NGINX = Budget(1.0, ["nginx"])

CASES = {
    "proxied-1k": Case("wrk", "/1k.txt", OVER_TLS, "proxied, 1 KiB", budget=AS_NGINX),
    "proxied-100k": Case("wrk", "/100k.txt", OVER_TLS, "proxied, 100 KiB"),
    "static-1k": Case("wrk", "/static/1k.txt", ["sluice", "nginx"], "from a file, 1 KiB", budget=AS_NGINX),
    "static-100k": Case("wrk", "/static/100k.txt", ["sluice", "nginx"], "from a file, 100 KiB", budget=AS_NGINX),
    "cached-1k": Case("wrk", SMALL, [*ALL, FLOOR], "cached, 1 KiB", cached=True, budget=Budget(0.65)),
    "cached-100k": Case("wrk", LARGE, [*ALL, FLOOR], "cached, 100 KiB", cached=True, budget=Budget(0.75)),
    # Asks with the answer's own ETag: 304, without a body. Without HAProxy: its 304 has a Content-Length, as it may,
    # and wrk waits for the body.
    "cached-304": Case(
        "wrk", SMALL, ["sluice", "nginx", "varnish"], "cached, 304", cached=True, how={"conditional": True},
    ),
    "cached-1k-h2": Case(
        "h2load", SMALL, OVER_TLS, "cached, 1 KiB, HTTP/2 over TLS, 100 × 32", cached=True, tls=True,
        budget=Budget(1.0), how={"connections": 100, "streams": 32},
    ),
    "cached-1k-h2-50": Case(
        "h2load", SMALL, OVER_TLS, "cached, 1 KiB, HTTP/2 over TLS, 50 × 16", cached=True, tls=True,
        budget=Budget(1.0), how={"connections": 50, "streams": 16},
    ),
    "tls-new": Case("handshakes", SMALL, OVER_TLS, "new TLS connection", cached=True, tls=True),
    "tls-resumed": Case(
        "handshakes", SMALL, OVER_TLS, "resumed TLS connection", cached=True, tls=True, how={"resumed": True},
    ),
    # At half of its own rate who is faster takes more requests; at the same rate the users of all wait for the same.
    # The floor says how much of it is the machine, which stops for some milliseconds now and then.
    "p99-same": Case(
        "p99", SMALL, [*ALL, FLOOR], "p99 at 20,000 a second, cached", MILLISECONDS, cached=True,
        budget=Budget(1.0), how={"per_s": 20_000},
    ),
    "p99-same-proxied": Case(
        "p99", "/1k.txt", OVER_TLS, "p99 at 10,000 a second, proxied", MILLISECONDS, budget=Budget(1.0),
        how={"per_s": 10_000},
    ),
    "p99-half": Case(
        "p99", SMALL, [*ALL, FLOOR], "p99 at half of its rate, cached", MILLISECONDS, cached=True, budget=Budget(1.0),
    ),
    "p99-half-proxied": Case(
        "p99", "/1k.txt", OVER_TLS, "p99 at half of its rate, proxied", MILLISECONDS, budget=Budget(1.0),
    ),
    # Beside the kernel's own, which is in no process's memory.
    "idle-10k": Case(
        "idle", SMALL, ALL, "memory of an idle connection", KIBIBYTES, cached=True, budget=Budget(most=4.0),
    ),
    "idle-10k-tls": Case("idle", SMALL, OVER_TLS, "the same over TLS", KIBIBYTES, cached=True, tls=True),
}  # fmt: skip
