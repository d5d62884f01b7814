"""One figure of one proxy for one case; each is looked at before it is believed."""

import http.client
import json
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

from arena import OPENLOAD, START_TIMEOUT_S, Arena, Proxy, Wrong
from cases import FLOOR, ORIGIN_PORT, Case

CONNECTIONS = 64
# Of a look before measuring: enough that a cache that keeps an answer only now and then shows.
LOOKS = 10
# Of new connections over TLS: so many clients at a time keep one core of a proxy busy and leave some for themselves.
HANDSHAKERS = 4
# What is due before is not counted: connections are opened, and what is learnt from traffic is learnt.
WARM_UP_S = 1
# Until a proxy has put away what it took to answer, before its memory is looked at.
SETTLE_S = 1
# All speak the same one, or what is compared would be ciphers. It is every client's first or second choice.
CIPHER = "TLS_AES_128_GCM_SHA256"

# How each says that an answer came from its cache: a field and what it must look like. HAProxy has no word of its
# own for it, but only answers from its cache have an age: the origin sends none.
SAYS_HIT = {
    "sluice": ("Cache-Status", r"sluice;(.*;)? *hit\b"),
    "nginx": ("X-Cache-Status", r"HIT$"),
    "haproxy": ("Age", r"\d+$"),
    "varnish": ("X-Varnish", r"\d+ \d+$"),
}


@dataclass
class Bench:
    arena: Arena
    seconds: float
    idle_connections: int
    # What belongs to a figure and is none: by case and proxy.
    notes: dict = field(default_factory=dict)

    def measure(self, name: str, case: Case, proxy: Proxy) -> float:
        """In the case's unit."""
        headers = self.check(proxy, case)
        asked = self.asked_of_origin() if case.cached else 0
        note = self.notes.setdefault(name, {}).setdefault(proxy.name, {})
        figure = getattr(self, case.kind)(proxy, case, headers, note)
        if case.cached:
            self.expect_unasked(proxy, case, asked)
        proxy.empty_logs()
        return figure

    # ── Before ──────────────────────────────────────────────────────────────────────────────────────────

    def check(self, proxy: Proxy, case: Case) -> dict[str, str]:
        """Fails unless the proxy answers as the case is about. The fields to measure with."""
        expected, conditional = case.expected(), case.how.get("conditional")
        # The first answer may still be the one that fills the cache.
        headers, first = {}, self.get(case, proxy)
        if conditional:
            headers, expected = {"If-None-Match": first[1]["ETag"]}, b""
        before = self.asked_of_origin()
        for _ in range(LOOKS):
            status, fields, body = self.get(case, proxy, headers)
            if status != (304 if conditional else 200) or body != expected:
                raise Wrong(f"{proxy.name} answers {case.path} with {status} and {len(body)} bytes:\n{fields}")
            if case.cached and not conditional and proxy.name != FLOOR:
                name, shape = SAYS_HIT[proxy.name]
                if not re.search(shape, fields.get(name, "")):
                    raise Wrong(f"{proxy.name} answers {case.path}, but not from its cache:\n{fields}")
        if case.cached:
            self.expect_unasked(proxy, case, before)
        return headers

    def get(self, case: Case, proxy: Proxy, headers: dict | None = None):
        port = case.port(proxy.name)
        return ask("127.0.0.1", port, case.path, headers, self.tls() if case.tls else None)

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.arena.certificate)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context

    def asked_of_origin(self) -> int:
        """How many requests have come to the origin; this one is left out."""
        text = ask("127.0.0.1", ORIGIN_PORT, "/count")[2].decode()
        self.arena.own_looks += 1
        return int(text.splitlines()[2].split()[2]) - self.arena.own_looks

    def expect_unasked(self, proxy: Proxy, case: Case, before: int):
        asked = self.asked_of_origin() - before
        if asked:
            raise Wrong(f"the origin was asked {asked} times for {case.path}, which {proxy.name} should have in its cache")

    # ── Kinds ───────────────────────────────────────────────────────────────────────────────────────────

    def wrk(self, proxy: Proxy, case: Case, headers: dict, _note: dict) -> float:
        """Microseconds of CPU per request over kept connections in clear text."""
        before = proxy.cpu_seconds()
        requests, _ = run_wrk(proxy, case, self.seconds, headers)
        return (proxy.cpu_seconds() - before) * 1e6 / requests

    def h2load(self, proxy: Proxy, case: Case, _headers: dict, note: dict) -> float:
        """Microseconds of CPU per request of HTTP/2 over TLS; the handshakes are in it."""
        connections, streams = case.how["connections"], case.how["streams"]
        url = f"https://127.0.0.1:{case.port(proxy.name)}{case.path}"
        command = [
            "h2load", f"-c{connections}", f"-m{streams}", "-t1", f"-D{whole_seconds(self.seconds)}",
            f"--tls13-ciphers={CIPHER}", url,
        ]  # fmt: skip
        before = proxy.cpu_seconds()
        said = run(command)
        spent = proxy.cpu_seconds() - before
        for line in ("Application protocol: h2", "TLS Protocol: TLSv1.3", f"Cipher: {CIPHER}"):
            if line not in said:
                raise Wrong(f"{proxy.name}: h2load does not say {line!r}:\n{said}")
        failed = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", said)
        good = int(re.search(r"status codes: (\d+) 2xx", said)[1])
        if not good or any(int(count) for count in failed.groups()):
            raise Wrong(f"{proxy.name} answers {case.path} with errors:\n{said}")
        note["cipher"] = CIPHER
        return spent * 1e6 / good

    def handshakes(self, proxy: Proxy, case: Case, _headers: dict, note: dict) -> float:
        """Microseconds of CPU per connection: handshake, one request, close."""
        resumed = bool(case.how.get("resumed"))
        ends = time.monotonic() + self.seconds
        counts, faults = [], []

        def client():
            try:
                counts.append(self.shake(proxy, case, resumed, ends, note))
            except (OSError, Wrong) as fault:
                faults.append(fault)

        before = proxy.cpu_seconds()
        clients = [threading.Thread(target=client) for _ in range(HANDSHAKERS)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
        if faults:
            raise Wrong(f"{proxy.name}: {faults[0]}")
        spent = proxy.cpu_seconds() - before
        note.setdefault("connections", []).append(sum(counts))
        return spent * 1e6 / sum(counts)

    def shake(self, proxy: Proxy, case: Case, resumed: bool, ends: float, note: dict) -> int:
        """One client, one connection after the other. How many."""
        context, session, count = self.tls(), None, 0
        port = case.port(proxy.name)
        request = f"GET {case.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
        while time.monotonic() < ends or not count:
            plain = socket.create_connection(("127.0.0.1", port), START_TIMEOUT_S)
            # Its own first one of this client cannot be resumed.
            offered = session if resumed else None
            with context.wrap_socket(plain, server_hostname="127.0.0.1", session=offered) as secure:
                if secure.session_reused != (offered is not None):
                    how = "does not resume a session it has given out" if offered else "resumes out of nothing"
                    raise Wrong(f"{how} ({count} connections before)")
                secure.sendall(request)
                answer = read_all(secure)
                # Tickets come after the handshake. A fresh one each time, as browsers do it.
                session = secure.session
                note["cipher"] = secure.cipher()[0]
            if not answer.startswith(b"HTTP/1.1 200") or not answer.endswith(case.expected()):
                raise Wrong(f"a wrong answer of {len(answer)} bytes: {answer[:200]}")
            count += 1
        return count

    def p99(self, proxy: Proxy, case: Case, _headers: dict, note: dict) -> float:
        """Milliseconds below which 99 of 100 answers come, at a rate that all have, or at half of what this one can do."""
        rate = case.how.get("per_s") or self.saturating_per_s(proxy, case, note) / 2
        url = f"http://127.0.0.1:{case.port(proxy.name)}{case.path}"
        command = [
            OPENLOAD, "--rate", rate, "--seconds", self.seconds + WARM_UP_S, "--warm-up", WARM_UP_S,
            "--connections", CONNECTIONS, "--json", url,
        ]  # fmt: skip
        found = json.loads(run(command))
        if found["failed"]:
            raise Wrong(f"{proxy.name} fails {found['failed']} of {found['requests']} at {rate:.0f} a second")
        for name in ("p50_ms", "p99_9_ms", "max_ms", "sent_late_p99_ms"):
            note.setdefault(name, []).append(found[name])
        return found["p99_ms"]

    def saturating_per_s(self, proxy: Proxy, case: Case, note: dict) -> float:
        """What wrk gets out of it, once for all rounds."""
        if "saturating_per_s" not in note:
            requests, took = run_wrk(proxy, case, max(1, self.seconds / 2), {})
            note["saturating_per_s"] = round(requests / took)
        return note["saturating_per_s"]

    def idle(self, proxy: Proxy, case: Case, _headers: dict, note: dict) -> float:
        """KiB of resident memory that a kept connection takes between two requests."""
        # What the first connections make a proxy allocate once is none of the others' cost.
        self.hold(proxy, case, CONNECTIONS, lambda: None)
        time.sleep(SETTLE_S)
        before = proxy.resident_kib()

        def look() -> float:
            time.sleep(SETTLE_S)
            return proxy.resident_kib() - before

        note["connections"] = self.idle_connections
        return self.hold(proxy, case, self.idle_connections, look) / self.idle_connections

    def hold(self, proxy: Proxy, case: Case, connections: int, then):
        """Opens so many, asks once over each, does that, and closes them."""
        port, held = case.port(proxy.name), []
        request = f"GET {case.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        context = self.tls() if case.tls else None
        try:
            for _ in range(connections):
                client = socket.create_connection(("127.0.0.1", port), START_TIMEOUT_S)
                # Closed by a reset: thousands of ports would be kept from the next measurement for a minute.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if context:
                    client = context.wrap_socket(client, server_hostname="127.0.0.1")
                held.append(client)
                client.sendall(request)
                read_body(client, case.expected())
            result = then()
            self.expect_kept(proxy, held)
            return result
        finally:
            for client in held:
                client.close()

    def expect_kept(self, proxy: Proxy, held: list[socket.socket]):
        for client in held:
            client.setblocking(False)
            try:
                if not client.recv(1):
                    raise Wrong(f"{proxy.name} has closed a connection that should be idle")
            except (BlockingIOError, ssl.SSLWantReadError):
                pass


def ask(host: str, port: int, path: str, headers: dict | None = None, tls: ssl.SSLContext | None = None):
    """Status, fields and body."""
    if tls:
        connection = http.client.HTTPSConnection(host, port, timeout=START_TIMEOUT_S, context=tls)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=START_TIMEOUT_S)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def read_all(stream) -> bytes:
    answer = b""
    while piece := stream.recv(65536):
        answer += piece
    return answer


def read_body(stream, body: bytes):
    answer = b""
    while not answer.endswith(b"\r\n\r\n" + body):
        piece = stream.recv(65536)
        if not piece:
            raise Wrong(f"a connection ended within an answer: {answer[:200]}")
        answer += piece


def run(command: list) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise Wrong(f"{command[0]} has failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def whole_seconds(seconds: float) -> int:
    """wrk and h2load take no parts of one."""
    return max(1, round(seconds))


def run_wrk(proxy: Proxy, case: Case, seconds: float, headers: dict) -> tuple[int, float]:
    """Requests and seconds."""
    fields = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    url = f"http://127.0.0.1:{case.port(proxy.name)}{case.path}"
    said = run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{whole_seconds(seconds)}s", *fields, url])
    if "Non-2xx" in said:
        raise Wrong(f"{proxy.name} answers {case.path} with errors:\n{said}")
    requests = int(re.search(r"(\d+) requests in", said)[1])
    if not requests:
        raise Wrong(f"{proxy.name} answers nothing for {case.path}:\n{said}")
    for line in said.splitlines():
        if "Socket errors" in line:
            print(f"{proxy.name}: {line.strip()}", file=sys.stderr)
    return requests, requests / float(re.search(r"Requests/sec: +([\d.]+)", said)[1])
