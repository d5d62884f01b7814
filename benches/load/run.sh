#!/usr/bin/env bash
# A load on the demo (`make demo` in another terminal), or on any server that has the same paths.
#
#   benches/load/run.sh ramp|spike|soak [http://HOST:PORT, default http://127.0.0.1:8080]
#   benches/load/run.sh wrk             as fast as it goes, over 64 connections, for 10 seconds
#
#   FASTER=10         each stage in a tenth of its time, at the same rates: soak in six minutes
#   GENERATOR=k6      or openload; without it k6 if it is installed, else openload, which is built here
#   OPENLOAD=PROGRAM  takes that one and builds none
#
# What is sent when, and what the answers have to be like, stands in the .scenario files. Both generators send requests when
# they are due, whether those before them have been answered or not. The code is 1 if a threshold is broken.
set -euo pipefail
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$folder/../.."

usage() {
  sed -n '4,5s/^# *//p' "$folder/run.sh" >&2
  exit 2
}

[[ $# -ge 1 && $# -le 2 ]] || usage
scenario=$1
target=${2:-http://127.0.0.1:8080}
target=${target%/}
faster=${FASTER:-1}

if [[ $scenario == wrk ]]; then
  deploy/tools.sh wrk
  exec wrk -t1 -c64 -d10s --latency -s "$folder/mix.lua" "$target"
fi
[[ -f $folder/$scenario.scenario ]] || usage

generator=${GENERATOR:-}
if [[ -z $generator ]]; then
  generator=openload
  ! command -v k6 >/dev/null || generator=k6
fi
case $generator in
  k6)
    code=0
    k6 run -e "SCENARIO=$scenario" -e "TARGET=$target" -e "FASTER=$faster" "$folder/scenario.js" || code=$?
    # Its code for a broken threshold.
    [[ $code -ne 99 ]] || code=1
    exit "$code"
    ;;
  openload)
    if [[ -z ${OPENLOAD:-} ]]; then
      cargo build --locked --release --quiet -p benches --bin openload --target-dir target
      OPENLOAD=target/release/openload
    fi
    mapfile -t paths <"$folder/paths"
    exec "$OPENLOAD" --scenario "$folder/$scenario.scenario" --faster "$faster" "${paths[@]/#/$target}"
    ;;
  *) usage ;;
esac
