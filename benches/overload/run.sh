#!/usr/bin/env bash
# What becomes of an upstream that is asked three times as much as it can do: without protection, with a fixed limit, and
# with the one that is learnt. An origin of SLOTS places, each taken for SERVICE_MS; clients come at random, whether those
# before them have been answered or not, and give up after PATIENCE_MS.
#
#   benches/overload/run.sh [SECONDS per measurement, default 10]
#
#   SLOTS=8 SERVICE_MS=20 PATIENCE_MS=500   as it is without them
#   SLUICE=target/debug/sluice              takes that program and builds none
#
# Prints a table; goodput is what is answered in time, wasted what the origin did for clients that had gone.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${SLUICE:-}" ]; then
  cargo build --locked --release --quiet -p gateway -p benches
  exec target/release/overload target/release/sluice "$@"
fi
cargo build --locked --quiet -p benches
exec target/debug/overload "$SLUICE" "$@"
