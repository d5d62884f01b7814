"""Measures what a request costs each proxy; see run.sh, which starts this.

A figure is the CPU time (user + system) of all of a proxy's processes while it is asked, divided by the answers; or a
latency; or memory. What a cache answers is checked: it has to be a hit, the right one, and the origin must not be
asked while it is measured.
"""

import argparse
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import report
from arena import SLUICE, Arena, Wrong, allow_descriptors
from cases import ALL, CASES, FLOOR
from measures import Bench

HERE = Path(__file__).parent
OUT = Path("run")
# Rounds of what needs fresh processes each time, and changes little.
IDLE_ROUNDS_MAX = 3
IDLE_CONNECTIONS, IDLE_CONNECTIONS_QUICK = 10_000, 2_000
VERSIONS = {
    "sluice": [SLUICE, "--version"], "nginx": ["nginx", "-v"], "haproxy": ["haproxy", "-v"],
    "varnish": ["varnishd", "-V"], "wrk": ["wrk", "-v"], "h2load": ["h2load", "--version"],
    "openssl": ["openssl", "version"],
}  # fmt: skip


def version(*command) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    return ((done.stdout + done.stderr).strip().splitlines() or ["unknown"])[0]


def about(options: argparse.Namespace, wanted: list[str], connections: int) -> dict:
    """What the figures were made with."""
    changed = version("git", "status", "--porcelain", "--untracked-files=no") != "unknown"
    programs = {name: version(*command) for name, command in VERSIONS.items() if name not in ALL or name in wanted}
    return {
        "commit": version("git", "rev-parse", "--short", "HEAD") + (" and changes" if changed else ""),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "mode": "quick" if options.quick else "full", "seconds": options.seconds, "rounds": options.rounds,
        "cores": os.cpu_count(), "kernel": platform.release(), "machine": platform.machine(),
        "idle_connections": connections, "versions": programs,
    }  # fmt: skip


def chosen(variable: str, known: list[str]) -> list[str]:
    words = os.environ.get(variable, "").split() or known
    unknown = [word for word in words if word not in known]
    if unknown:
        raise Wrong(f"{variable}: {' '.join(unknown)} is not known; known: {' '.join(known)}")
    return [word for word in known if word in words]


def options_of(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="compare")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--draw", metavar="JSON")
    parser.add_argument("seconds", nargs="?", type=float)
    parser.add_argument("rounds", nargs="?", type=int)
    options = parser.parse_args(words)
    options.seconds = options.seconds or (1 if options.quick else 5)
    options.rounds = options.rounds or (1 if options.quick else 5)
    return options


def one_round(nth: int, cases: list[str], wanted: list[str], bench: Bench, figures: dict, faults: list[str]):
    """Each proxy in turn, case by case: what disturbs the machine for a while disturbs all."""
    for name in cases:
        for proxy in (p for p in CASES[name].proxies if p in wanted):
            try:
                figure = bench.measure(name, CASES[name], bench.arena.proxies[proxy])
                figures.setdefault(name, {}).setdefault(proxy, []).append(figure)
            except (Wrong, OSError) as fault:
                # Half an hour of other figures is not thrown away for it.
                faults.append(f"{name}, {proxy}, round {nth + 1}: {fault}")
                print(f"compare: {faults[-1]}", file=sys.stderr)
    print(f"round {nth + 1}", file=sys.stderr)


def measure_all(options, cases: list[str], wanted: list[str], descriptors: int, connections: int):
    figures, notes, faults = {}, {}, []
    kept = [name for name in cases if CASES[name].kind != "idle"]
    idle = [name for name in cases if CASES[name].kind == "idle"]
    # What memory a proxy has taken before it does not give back: such cases get processes of their own.
    sittings = [(kept, range(options.rounds))] if kept else []
    sittings += [([name], [nth]) for nth in range(min(options.rounds, IDLE_ROUNDS_MAX)) for name in idle]
    for group, rounds in sittings:
        arena = Arena(descriptors)
        bench = Bench(arena, options.seconds, connections, notes)
        try:
            arena.open([name for name in wanted if any(name in CASES[case].proxies for case in group)])
            for nth in rounds:
                one_round(nth, group, wanted, bench, figures, faults)
        except Wrong as fault:
            if not figures:
                raise
            faults.append(f"{', '.join(group)}: {fault}")
            print(f"compare: {faults[-1]}", file=sys.stderr)
        finally:
            arena.close()
    return {name: figures[name] for name in cases if name in figures}, notes, faults


def keep(result: dict, whole: bool):
    file = OUT / ("compare.json" if whole else "compare-part.json")
    OUT.mkdir(exist_ok=True)
    file.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    # What README may show is drawn from a whole run alone.
    draw(result, HERE / "figures" if whole else OUT / "figures")


def draw(result: dict, folder: Path):
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawn in report.drawings(result).items():
        (folder / name).write_text(drawn)
    print(f"drawn: {folder}/*.svg", file=sys.stderr)


def main():
    options = options_of(sys.argv[1:])
    if options.draw:
        return draw(json.loads(Path(options.draw).read_text()), HERE / "figures")
    cases, wanted = chosen("CASES", list(CASES)), chosen("PROXIES", [*ALL, FLOOR])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    descriptors = allow_descriptors()
    connections = min(
        IDLE_CONNECTIONS_QUICK if options.quick else IDLE_CONNECTIONS, Arena.connections_allowed(descriptors),
    )  # fmt: skip
    print(f"{descriptors} descriptors each: {connections} idle connections", file=sys.stderr)
    figures, notes, faults = measure_all(options, cases, wanted, descriptors, connections)
    result = report.summary(figures, notes, about(options, wanted, connections))
    print(report.table(result))
    if faults:
        result["faults"] = faults
    keep(result, not (options.quick or faults) and cases == list(CASES) and wanted == [*ALL, FLOOR])
    if faults:
        raise Wrong(f"{len(faults)} measurements have failed; what is above is without them")


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(f"compare: {wrong}")
