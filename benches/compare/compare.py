"""Measures what a request costs each proxy; see run.sh, which starts this.

A figure is the CPU time (user + system) of all of a proxy's processes while wrk asks it over 64 kept connections,
divided by the answers. What a cache answers is checked: it has to be a hit, the right one, and the origin must
not be asked while it is measured.
"""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ORIGIN_PORT = 7000
CONNECTIONS = 64
START_TIMEOUT_S = 10
# Of a look before measuring: enough that a cache that keeps an answer only now and then shows.
LOOKS = 10
FILES = {"1k.txt": 1024, "100k.txt": 100 * 1024}


@dataclass
class Case:
    path: str
    proxies: list[str]
    cached: bool = False
    # Asks with the answer's own ETag: 304, without a body.
    conditional: bool = False


ALL = ["sluice", "nginx", "haproxy", "varnish"]
# No proxy, but a loop that sends what a cache would: what the system alone takes.
FLOOR = "floor"
CASES = {
    "proxied-1k": Case("/1k.txt", ["sluice", "nginx", "haproxy"]),
    "proxied-100k": Case("/100k.txt", ["sluice", "nginx", "haproxy"]),
    "static-1k": Case("/static/1k.txt", ["sluice", "nginx"]),
    "static-100k": Case("/static/100k.txt", ["sluice", "nginx"]),
    "cached-1k": Case("/cached/1k.txt", [*ALL, FLOOR], cached=True),
    "cached-100k": Case("/cached/100k.txt", [*ALL, FLOOR], cached=True),
    # Without HAProxy: its 304 has a Content-Length, as it may, and wrk waits for the body.
    "cached-304": Case("/cached/1k.txt", ["sluice", "nginx", "varnish"], cached=True, conditional=True),
}

# How each says that an answer came from its cache: a field and what it must look like. HAProxy has no word of its
# own for it, but only answers from its cache have an age: the origin sends none.
SAYS_HIT = {
    "sluice": ("Cache-Status", r"sluice;(.*;)? *hit\b"),
    "nginx": ("X-Cache-Status", r"HIT$"),
    "haproxy": ("Age", r"\d+$"),
    "varnish": ("X-Varnish", r"\d+ \d+$"),
}

PORT = {"nginx": 7001, "haproxy": 7002, "sluice": 7003, "varnish": 7005, FLOOR: 7008}
# Where HAProxy caches, and who reads what is logged there.
HAPROXY_CACHED_PORT, HAPROXY_LOG_PORT = 7006, 7007


class Wrong(Exception):
    """What makes a figure worthless."""


@dataclass
class Proxy:
    name: str
    # All of them and their children are its cost; what logs for it too.
    processes: list[subprocess.Popen]
    # Emptied after each measurement: a run writes gigabytes of lines.
    logs: list[Path] = field(default_factory=list)

    def port(self, case: Case) -> int:
        return HAPROXY_CACHED_PORT if case.cached and self.name == "haproxy" else PORT[self.name]

    def cpu_seconds(self) -> float:
        ticks = sum(tree_ticks(process.pid) for process in self.processes)
        return ticks / os.sysconf("SC_CLK_TCK")


def tree_ticks(root: int) -> int:
    """CPU ticks of a process and all below it. Those of children that have ended are in their parents'."""
    parents, ticks = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name, in parentheses, may hold anything.
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            pid = int(entry.name)
            parents[pid] = int(stat[1])
            ticks[pid] = sum(int(t) for t in stat[11:15])
    if root not in ticks:
        raise Wrong(f"process {root} has ended")

    def is_below(pid: int) -> bool:
        while pid and pid != root:
            pid = parents.get(pid, 0)
        return pid == root

    return sum(t for pid, t in ticks.items() if is_below(pid))


class Arena:
    """Everything that runs during a comparison, in a folder of its own."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="compare-"))
        # nginx's worker is another user.
        self.folder.chmod(0o755)
        self.folders = [self.folder]
        self.said = self.folder / "said"
        self.started = []
        self.proxies = {}

    def open(self, wanted: list[str]):
        (self.folder / "files").mkdir(mode=0o755)
        for name, length in FILES.items():
            (self.folder / "files" / name).write_bytes(b"a" * length)
        self.nginx("nginx-origin.conf")
        self.await_port(ORIGIN_PORT)
        starts = {"sluice": self.sluice, "nginx": self.peer_nginx, "haproxy": self.haproxy, "varnish": self.varnish, FLOOR: self.floor}
        self.proxies = {name: starts[name]() for name in wanted}
        for proxy in self.proxies.values():
            self.await_port(PORT[proxy.name])

    def close(self):
        for process in reversed(self.started):
            process.terminate()
        for process in self.started:
            try:
                process.wait(START_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)

    def start(self, *command, **how) -> subprocess.Popen:
        with open(self.said, "ab") as said:
            words = [str(word) for word in command]
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, **how)
        self.started.append(process)
        return process

    def await_port(self, port: int):
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                ended = [process.args[0] for process in self.started if process.poll() is not None]
                if ended or time.monotonic() > deadline:
                    said = self.said.read_text(errors="replace")
                    ended = ", ".join(ended) or "nothing"
                    raise Wrong(f"nobody listens on port {port}; {ended} has ended; said was:\n{said}") from None
                time.sleep(0.02)

    def conf(self, name: str) -> Path:
        path = self.folder / name
        path.write_text((HERE / name).read_text().replace("DIR", str(self.folder)))
        return path

    def nginx(self, conf: str) -> subprocess.Popen:
        return self.start("nginx", "-c", self.conf(conf), "-g", "daemon off;")

    def peer_nginx(self) -> Proxy:
        logs = [self.folder / "nginx-access.log", self.folder / "nginx-cached.log"]
        return Proxy("nginx", [self.nginx("nginx.conf")], logs)

    def haproxy(self) -> Proxy:
        # Somebody has to read its log, as syslogd would, and is not part of what it costs.
        log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        log.bind(str(self.folder / "haproxy.sock"))
        threading.Thread(target=drain, args=(log,), daemon=True).start()
        lines = socket.create_server(("127.0.0.1", HAPROXY_LOG_PORT))
        threading.Thread(target=drain_accepted, args=(lines,), daemon=True).start()
        return Proxy("haproxy", [self.start("haproxy", "-q", "-f", self.conf("haproxy.cfg"))])

    def varnish(self) -> Proxy:
        # Its log in shared memory belongs on a tmpfs, says its manual, or it is written to disk all the time.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        room = Path(tempfile.mkdtemp(prefix="compare-varnish-", dir=memory))
        room.chmod(0o755)
        self.folders.append(room)
        log = self.folder / "varnish-access.log"
        address = f"127.0.0.1:{PORT['varnish']}"
        # It has no single worker: a request takes a thread of a pool while it lasts. One pool, as for one core.
        tuned = ["-p", "thread_pools=1", "-p", "timeout_idle=600"]
        cache = self.start(
            "varnishd", "-F", "-n", room, "-a", address, "-f", self.conf("varnish.vcl"), "-s", "malloc,256m", *tuned,
        )  # fmt: skip
        self.await_port(PORT["varnish"])
        return Proxy("varnish", [cache, self.start("varnishncsa", "-n", room, "-a", "-w", log)], [log])

    def floor(self) -> Proxy:
        return Proxy(FLOOR, [self.start("target/release/floor", PORT[FLOOR])])

    def sluice(self) -> Proxy:
        command = ["target/release/sluice", "run", "-c", HERE / "sluice.toml"]
        process = self.start(*command, env={**os.environ, "DIR": str(self.folder)})
        return Proxy("sluice", [process], [self.folder / "sluice-access.log"])


def drain(log: socket.socket):
    while log.recv(65536):
        pass


def drain_accepted(lines: socket.socket):
    while True:
        drain(lines.accept()[0])


def get(port: int, path: str, headers: dict | None = None) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_TIMEOUT_S)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def asked_of_origin() -> int:
    """How many requests have come to the origin; this one is left out."""
    text = get(ORIGIN_PORT, "/count")[2].decode()
    requests = int(text.splitlines()[2].split()[2])
    asked_of_origin.own += 1
    return requests - asked_of_origin.own


asked_of_origin.own = 0


def check(proxy: Proxy, case: Case) -> dict[str, str]:
    """Fails unless the proxy answers as the case is about. The fields to measure with."""
    expected = b"a" * FILES[case.path.rpartition("/")[2]]
    # The first answer may still be the one that fills the cache.
    headers, first = {}, get(proxy.port(case), case.path)
    if case.conditional:
        headers = {"If-None-Match": first[1]["ETag"]}
        expected = b""
    before = asked_of_origin()
    for _ in range(LOOKS):
        status, fields, body = get(proxy.port(case), case.path, headers)
        if status != (304 if case.conditional else 200) or body != expected:
            raise Wrong(f"{proxy.name} answers {case.path} with {status} and {len(body)} bytes:\n{fields}")
        if case.cached and not case.conditional and proxy.name != FLOOR:
            name, shape = SAYS_HIT[proxy.name]
            if not re.search(shape, fields.get(name, "")):
                raise Wrong(f"{proxy.name} answers {case.path}, but not from its cache:\n{fields}")
    if case.cached:
        expect_unasked(proxy, case, before)
    return headers


def expect_unasked(proxy: Proxy, case: Case, before: int):
    asked = asked_of_origin() - before
    if asked:
        raise Wrong(f"the origin was asked {asked} times for {case.path}, which {proxy.name} should have in its cache")


def measure(proxy: Proxy, case: Case, seconds: str) -> float:
    """Microseconds of CPU per request."""
    headers = check(proxy, case)
    fields = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    url = f"http://127.0.0.1:{proxy.port(case)}{case.path}"
    asked = asked_of_origin() if case.cached else 0
    before = proxy.cpu_seconds()
    wrk = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *fields, url]
    said = subprocess.run(wrk, check=True, capture_output=True, text=True).stdout
    spent = proxy.cpu_seconds() - before
    if case.cached:
        expect_unasked(proxy, case, asked)
    if "Non-2xx" in said:
        raise Wrong(f"{proxy.name} answers {case.path} with errors:\n{said}")
    requests = int(re.search(r"(\d+) requests in", said)[1])
    if not requests:
        raise Wrong(f"{proxy.name} answers nothing for {case.path}:\n{said}")
    for line in said.splitlines():
        if "Socket errors" in line:
            print(f"{proxy.name}: {line.strip()}", file=sys.stderr)
    for log in proxy.logs:
        if log.exists():
            os.truncate(log, 0)
    return spent * 1e6 / requests


def version(*command) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def summary(figures: dict[str, dict[str, list[float]]], wanted: list[str]) -> dict:
    versions = {
        "sluice": ["target/release/sluice", "--version"],
        "nginx": ["nginx", "-v"],
        "haproxy": ["haproxy", "-v"],
        "varnish": ["varnishd", "-V"],
    }
    result = {"commit": version("git", "rev-parse", "--short", "HEAD")}
    result |= {name: version(*versions[name]) for name in wanted if name in versions}
    result |= {"unit": "CPU microseconds per request, median", "cases": {}}
    for case, by in figures.items():
        median = {name: round(statistics.median(values), 2) for name, values in by.items()}
        peers = {name: value for name, value in median.items() if name not in ("sluice", FLOOR)}
        best = min(peers, key=peers.get, default=None)
        ratio = round(median["sluice"] / peers[best], 3) if best and "sluice" in median else None
        rounded = {name: [round(v, 2) for v in values] for name, values in by.items()}
        result["cases"][case] = {"median": median, "all": rounded, "best_peer": best, "ratio": ratio}
    return result


def table(result: dict, wanted: list[str]):
    print(f"{'case':14}" + "".join(f"{name:>9}" for name in wanted) + "   ratio to the best peer")
    for case, row in result["cases"].items():
        cells = "".join(f"{row['median'][n]:9.1f}" if n in row["median"] else f"{'–':>9}" for n in wanted)
        ratio = "–" if row["ratio"] is None else f"{row['ratio']:.2f}"
        print(f"{case:14}{cells}   {ratio:>5} {row['best_peer'] or ''}".rstrip())


def chosen(variable: str, known: list[str]) -> list[str]:
    words = os.environ.get(variable, "").split() or known
    unknown = [word for word in words if word not in known]
    if unknown:
        raise Wrong(f"{variable}: {' '.join(unknown)} is not known; known: {' '.join(known)}")
    return [word for word in known if word in words]


def main():
    seconds, rounds = (sys.argv[1:] + ["5", "5"][len(sys.argv) - 1 :])[:2]
    cases, wanted = chosen("CASES", list(CASES)), chosen("PROXIES", [*ALL, FLOOR])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    figures = {}
    arena = Arena()
    try:
        arena.open(wanted)
        for nth in range(int(rounds)):
            for name in cases:
                for proxy in (p for p in CASES[name].proxies if p in wanted):
                    figure = measure(arena.proxies[proxy], CASES[name], seconds)
                    figures.setdefault(name, {}).setdefault(proxy, []).append(figure)
            print(f"round {nth + 1} of {rounds}", file=sys.stderr)
    finally:
        arena.close()
    result = summary(figures, wanted)
    table(result, wanted)
    whole = cases == list(CASES) and wanted == [*ALL, FLOOR]
    file = Path("run") / ("compare.json" if whole else "compare-part.json")
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(f"compare: {wrong}")
