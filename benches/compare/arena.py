"""Starts all that is compared, in a folder of its own, and reads from /proc what it has cost."""

import os
import resource
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from cases import FILES, FLOOR, HAPROXY_LOG_PORT, ORIGIN_PORT, PORT, TLS_PORT

HERE = Path(__file__).parent
START_TIMEOUT_S = 20
# What idle-10k needs at both ends, and HAProxy twice: it counts the connections to the origin too.
DESCRIPTORS_WANTED = 40000
# What else a process has open: logs, listeners, the origin's connections, the programs' own.
DESCRIPTORS_ELSE = 300

# Where the programs of this project are; a debug build is good enough to try this script, and for nothing else.
SLUICE = os.environ.get("SLUICE", "target/release/sluice")
FLOOR_PROGRAM = os.environ.get("FLOOR", "target/release/floor")
OPENLOAD = os.environ.get("OPENLOAD", "target/release/openload")


class Wrong(Exception):
    """What makes a figure worthless."""


@dataclass
class Proxy:
    name: str
    # All of them and their children are its cost; what logs for it too.
    processes: list[subprocess.Popen]
    # Emptied after each measurement: a run writes gigabytes of lines.
    logs: list[Path] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        ticks = sum(ticks for ticks, _ in self.stats())
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident_kib(self) -> float:
        pages = sum(pages for _, pages in self.stats())
        return pages * os.sysconf("SC_PAGE_SIZE") / 1024

    def stats(self) -> list[tuple[int, int]]:
        everything = process_table()
        return [stat for process in self.processes for stat in tree(process.pid, everything)]

    def empty_logs(self):
        for log in self.logs:
            if log.exists():
                os.truncate(log, 0)


def process_table() -> dict[int, tuple[int, int, int]]:
    """Of each process: its parent, its CPU ticks with those of children that have ended, its resident pages."""
    processes = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name, in parentheses, may hold anything.
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            processes[int(entry.name)] = (int(stat[1]), sum(int(t) for t in stat[11:15]), int(stat[21]))
    return processes


def tree(root: int, processes: dict[int, tuple[int, int, int]]) -> list[tuple[int, int]]:
    """Ticks and pages of a process and of all below it."""
    if root not in processes:
        raise Wrong(f"process {root} has ended")

    def is_below(pid: int) -> bool:
        while pid and pid != root:
            pid = processes[pid][0] if pid in processes else 0
        return pid == root

    return [(ticks, pages) for pid, (_, ticks, pages) in processes.items() if is_below(pid)]


def allow_descriptors() -> int:
    """As many as may be had, for this process and those it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS_WANTED:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS_WANTED, DESCRIPTORS_WANTED))
            return DESCRIPTORS_WANTED
        except (ValueError, OSError):
            pass
    allowed = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_WANTED)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


class Arena:
    """Everything that runs during a comparison."""

    @staticmethod
    def connections_allowed(descriptors: int) -> int:
        """A client's connection and one to the origin: HAProxy does not start if it could run out."""
        return (descriptors - DESCRIPTORS_ELSE) // 2 - DESCRIPTORS_ELSE

    def __init__(self, descriptors: int):
        self.connections_max = self.connections_allowed(descriptors) + DESCRIPTORS_ELSE
        self.folder = Path(tempfile.mkdtemp(prefix="compare-"))
        # nginx's worker is another user.
        self.folder.chmod(0o755)
        self.folders = [self.folder]
        self.said = self.folder / "said"
        self.started = []
        self.sockets = []
        self.proxies = {}
        # Requests to the origin that were ours, to ask how many it has had.
        self.own_looks = 0

    @property
    def certificate(self) -> Path:
        return self.folder / "cert.pem"

    def open(self, wanted: list[str]):
        for name in ("files", "log"):
            (self.folder / name).mkdir(mode=0o755)
        for name, length in FILES.items():
            (self.folder / "files" / name).write_bytes(b"a" * length)
        self.certify()
        self.nginx("nginx-origin.conf")
        self.await_port(ORIGIN_PORT)
        starts = {
            "sluice": self.sluice, "nginx": self.peer_nginx, "haproxy": self.haproxy, "varnish": self.varnish,
            FLOOR: self.floor,
        }  # fmt: skip
        self.proxies = {name: starts[name]() for name in wanted}
        for name in wanted:
            self.await_port(PORT[name])
            if name in TLS_PORT:
                self.await_port(TLS_PORT[name])

    def certify(self):
        """One certificate for all: ECDSA over P-256, which is what authorities give by default today."""
        command = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", self.folder / "key.pem", "-out", self.certificate,
        ]  # fmt: skip
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode:
            raise Wrong(f"openssl has made no certificate:\n{done.stderr}")
        # HAProxy reads both from one file.
        both = self.certificate.read_text() + (self.folder / "key.pem").read_text()
        (self.folder / "both.pem").write_text(both)

    def close(self):
        for process in reversed(self.started):
            process.terminate()
        for process in self.started:
            try:
                process.wait(START_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for listener in self.sockets:
            # Wakes who waits for the next one; closing alone would leave the port taken until then.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
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
        text = (HERE / name).read_text()
        # nginx closes idle connections as soon as only a sixteenth of its places is free.
        words = {"DIR": self.folder, "CONNECTIONS_MAX": self.connections_max, "PLACES": self.connections_max * 5 // 4}
        for word, value in words.items():
            text = text.replace(word, str(value))
        path.write_text(text)
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
        self.sockets.append(lines)
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
        return Proxy(FLOOR, [self.start(FLOOR_PROGRAM, PORT[FLOOR])])

    def sluice(self) -> Proxy:
        command = [SLUICE, "run", "-c", HERE / "sluice.toml"]
        process = self.start(*command, env={**os.environ, "DIR": str(self.folder)})
        return Proxy("sluice", [process], [self.folder / "log" / "sluice-access.log"])


def drain(log: socket.socket):
    while log.recv(65536):
        pass


def drain_accepted(lines: socket.socket):
    while True:
        try:
            drain(lines.accept()[0])
        except OSError:
            return
