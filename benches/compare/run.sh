#!/usr/bin/env bash
# Compares what a request costs: CPU microseconds of the proxy's process (user + system) per request, for Sluice,
# nginx and HAProxy, taken in turn in one run. Needs wrk, nginx and haproxy (Debian's packages of these names).
#
#   benches/compare/run.sh [SECONDS per measurement, default 5] [ROUNDS, default 5]
#
# Prints a table of medians with the ratio to the best peer, and writes run/compare.json beside it.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-5} rounds=${2:-5}
for tool in wrk nginx haproxy python3; do
    command -v "$tool" >/dev/null || { echo "compare: $tool is missing; Debian: apt-get install wrk nginx haproxy python3" >&2; exit 2; }
done
[ -n "${SKIP_BUILD:-}" ] || cargo build --release --quiet -p gateway
export DIR; DIR=$(mktemp -d)
pids=()
cleanup() { kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$DIR"; }
trap cleanup EXIT
mkdir -p "$DIR/files" run
chmod 755 "$DIR" "$DIR/files"
head -c 1024 /dev/zero | tr '\0' a > "$DIR/files/1k.txt"
head -c 102400 /dev/zero | tr '\0' a > "$DIR/files/100k.txt"
for conf in nginx-origin.conf nginx.conf haproxy.cfg; do
    sed "s#DIR#$DIR#g" "benches/compare/$conf" > "$DIR/$conf"
done
nginx -c "$DIR/nginx-origin.conf" -g 'daemon off;' & pids+=($!)
nginx -c "$DIR/nginx.conf" -g 'daemon off;' & pids+=($!)
# Somebody has to read HAProxy's log, as syslogd would.
python3 -c 'import socket,sys
s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.bind(sys.argv[1])
while True: s.recv(65536)' "$DIR/haproxy.sock" & pids+=($!)
until [ -S "$DIR/haproxy.sock" ]; do :; done
haproxy -q -f "$DIR/haproxy.cfg" & pids+=($!)
target/release/sluice run -c benches/compare/sluice.toml > "$DIR/sluice.out" 2>&1 & pids+=($!)
sluice=$!
for port in 7000 7001 7002 7003; do
    until curl -sf -o /dev/null "http://127.0.0.1:$port/1k.txt"; do kill -0 "${pids[@]}"; done
done
worker_of() { # the process that does nginx's or HAProxy's work on a port
    python3 - "$1" <<'PY'
import os, sys
port = "%04X" % int(sys.argv[1])
inodes = {l.split()[9] for l in open("/proc/net/tcp") if l.split()[1].endswith(":" + port) and l.split()[3] == "0A"}
owners = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        links = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    except OSError:
        continue
    if any(f"socket:[{i}]" in links for i in inodes):
        owners.append(int(pid))
print(max(owners))
PY
}
declare -A pid=([nginx]=$(worker_of 7001) [haproxy]=$(worker_of 7002) [sluice]=$sluice)
declare -A port=([nginx]=7001 [haproxy]=7002 [sluice]=7003)
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
measure() { # name path: microseconds of CPU per request
    local before after requests
    before=$(ticks "${pid[$1]}")
    requests=$(wrk -t1 -c64 -d"${seconds}s" "http://127.0.0.1:${port[$1]}$2" | awk '/requests in/ { print $1 }')
    after=$(ticks "${pid[$1]}")
    awk -v t=$((after - before)) -v n="$requests" -v hz="$(getconf CLK_TCK)" 'BEGIN { printf "%.2f\n", t / hz * 1e6 / n }'
}
: > "$DIR/figures"
for round in $(seq "$rounds"); do
    for case in "proxied-1k /1k.txt sluice nginx haproxy" "proxied-100k /100k.txt sluice nginx haproxy" \
                "static-1k /static/1k.txt sluice nginx" "static-100k /static/100k.txt sluice nginx"; do
        read -r name path proxies <<< "$case"
        for proxy in $proxies; do echo "$name $proxy $(measure "$proxy" "$path")" >> "$DIR/figures"; done
    done
    echo "round $round of $rounds" >&2
done
python3 - "$DIR/figures" <<'PY'
import json, statistics, subprocess, sys
figures = {}
for line in open(sys.argv[1]):
    case, proxy, value = line.split()
    figures.setdefault(case, {}).setdefault(proxy, []).append(float(value))
def version(*command):
    out = subprocess.run(command, capture_output=True, text=True)
    return (out.stdout + out.stderr).splitlines()[0]
result = {"commit": version("git", "rev-parse", "--short", "HEAD"), "nginx": version("nginx", "-v"),
          "haproxy": version("haproxy", "-v"), "unit": "CPU microseconds per request, median", "cases": {}}
print(f"{'case':14}{'sluice':>9}{'nginx':>9}{'haproxy':>9}   ratio to the best peer")
for case, by in figures.items():
    median = {proxy: statistics.median(values) for proxy, values in by.items()}
    best = min(v for p, v in median.items() if p != "sluice")
    row = "".join(f"{median[p]:9.1f}" if p in median else f"{'–':>9}" for p in ("sluice", "nginx", "haproxy"))
    print(f"{case:14}{row}   {median['sluice'] / best:.2f}")
    result["cases"][case] = {"median": median, "all": by, "ratio": round(median["sluice"] / best, 3)}
json.dump(result, open("run/compare.json", "w"), indent=1)
PY
