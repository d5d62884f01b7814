#!/usr/bin/env bash
# Compares what a request costs: CPU microseconds of a proxy's processes (user + system) per request, for Sluice,
# nginx, HAProxy and Varnish, taken in turn in one run; beside them, for what a cache answers, what the system alone
# takes (floor: a loop that sends the same bytes and does nothing else). Programs that are missing are installed, and said before.
#
#   benches/compare/run.sh [SECONDS per measurement, default 5] [ROUNDS, default 5]
#
#   CASES="cached-1k cached-100k"   only these; all: proxied-1k proxied-100k static-1k static-100k
#                                   cached-1k cached-100k cached-304
#   PROXIES="nginx haproxy"         only these; all: sluice nginx haproxy varnish floor
#   SKIP_BUILD=1                    takes target/release/sluice as it is
#
# Prints a table of medians with the ratio to the best peer, and writes run/compare.json; of a part of the cases
# or proxies, run/compare-part.json, so that a short look never replaces the figures of a whole run.
set -euo pipefail
cd "$(dirname "$0")/../.."
deploy/tools.sh python3 wrk nginx haproxy varnishd=varnish
[ -n "${SKIP_BUILD:-}" ] || cargo build --locked --release --quiet -p gateway -p benches
exec python3 benches/compare/compare.py "$@"
