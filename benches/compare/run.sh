#!/usr/bin/env bash
# Compares what a request costs: CPU microseconds of a proxy's processes (user + system) per request, for Sluice,
# nginx, HAProxy and Varnish, taken in turn in one run; beside them, for what a cache answers, what the system alone
# takes (floor: a loop that sends the same bytes and does nothing else). Also the cost of a TLS connection, the latency at
# half of the rate that each can do, and the memory of an idle connection. Each has one worker and an access log.
# Programs that are missing are installed, and said before. It takes ports 7000 to 7013 of loopback.
#
#   benches/compare/run.sh            all, about 25 minutes; for figures the machine should have nothing else to do
#   benches/compare/run.sh --quick    one round of a second each, below 2 minutes: whether it works, no figures to quote
#   benches/compare/run.sh SECONDS ROUNDS    of each measurement (5), and how often they take turns (5)
#
#   CASES="cached-1k cached-100k"   only these; all:
#     proxied-1k proxied-100k static-1k static-100k cached-1k cached-100k cached-304
#                                   kept connections of HTTP/1.1 in clear text (wrk, 64)
#     cached-1k-h2 cached-1k-h2-50  HTTP/2 over TLS (h2load): 100 connections of 32 streams, 50 of 16
#     tls-new tls-resumed           a connection with its handshake, one request, close; TLS 1.3
#     p99-same p99-same-proxied     p99 at 20,000 and 10,000 requests a second, from when each request was due
#                                   (src/bin/openload.rs)
#     p99-half p99-half-proxied     the same at half of what wrk gets out of that proxy
#     idle-10k idle-10k-tls         resident memory per connection, of 10000 or as many as descriptors allow
#   PROXIES="nginx haproxy"         only these; all: sluice nginx haproxy varnish floor
#   SKIP_BUILD=1                    takes target/release/{sluice,floor,openload} as they are
#   SLUICE= FLOOR= OPENLOAD=        other programs instead, with SKIP_BUILD
#
# Varnish has no TLS and is left out where there is some. All others show the same certificate (ECDSA, P-256), made anew
# by each run. Prints a table of medians with the ratio to the best peer and whether the budget holds, and writes
# run/compare.json, with all samples and the versions of all programs, and benches/compare/figures/*.svg. A quick run, or one
# of a part of the cases or proxies, writes run/compare-part.json and run/figures instead, so that a short look never
# replaces the figures of a whole run. `python3 benches/compare/compare.py --draw run/compare.json` draws them again.
set -euo pipefail
cd "$(dirname "$0")/../.."
deploy/tools.sh python3 wrk h2load=nghttp2-client openssl nginx haproxy varnishd=varnish
[ -n "${SKIP_BUILD:-}" ] || cargo build --locked --release --quiet --target-dir target -p gateway -p benches
exec python3 -B benches/compare/compare.py "$@"
