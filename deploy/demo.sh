#!/usr/bin/env bash
# Four servers of the workout service on one database, and Sluice in front of them, until Ctrl-C.
#
#   deploy/demo.sh              what `make demo` runs once it has built
#   deploy/demo.sh server 8002  starts one server again that was killed, in this terminal
#
# All it leaves is in run/: the database, so that what was written is there the next time, the gateway's cache, and the
# logs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly config=conf/demo.toml
readonly sluice=target/release/sluice workouts=target/release/workouts
readonly ports=(8001 8002 8003 8004)
readonly patience_s=30 # for each program to answer; it takes well below one second

# conf/demo.toml reads the same two.
listen=${SLUICE_LISTEN:-127.0.0.1:8080}
admin=${SLUICE_ADMIN:-127.0.0.1:9900}

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Where somebody on this machine reaches an address to listen on.
reachable() {
  case ${1%:*} in
    '' | 0.0.0.0 | '[::]') printf '127.0.0.1:%s' "${1##*:}" ;;
    unix) die "the demo needs a TCP address, not $1" ;;
    *) printf '%s' "$1" ;;
  esac
}

command_of() { # port
  command=("$workouts" --listen "127.0.0.1:$1" --database run/workouts.db --secret-file run/token.key)
}

if [[ ${1-} == server ]]; then
  [[ -f run/token.key ]] || die "no demo has run here yet: make demo"
  [[ " ${ports[*]} " == *" ${2-} "* ]] || die "which one: ${ports[*]}?"
  command_of "$2"
  exec "${command[@]}"
fi

[[ -x $sluice && -x $workouts ]] || die "nothing is built yet: make demo"
web=$(reachable "$listen")
desk=$(reachable "$admin")

# ── Ports ────────────────────────────────────────────────────────────────────────────────────────────────

is_taken() {
  (exec 3<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null
}

# The program behind a port, where this user may know.
owner_of() {
  { ss -Hltnp "sport = :$1" 2>/dev/null || true; } |
    sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/ by \1, process \2/p' | head -n 1
}

demand_free() { # address, what to do
  ! is_taken "$1" || die "port ${1##*:} is taken$(owner_of "${1##*:}"): $2"
}

demand_free "$web" "stop that, or choose another one: SLUICE_LISTEN=127.0.0.1:8090 make demo"
demand_free "$desk" "stop that, or choose another one: SLUICE_ADMIN=127.0.0.1:9990 make demo"
for port in "${ports[@]}"; do
  demand_free "127.0.0.1:$port" "stop that; the demo's servers use ${ports[*]}"
done

# ── Stopping ─────────────────────────────────────────────────────────────────────────────────────────────

declare -A pid_of=() # by name

# shellcheck disable=SC2317 # the trap below calls it, and it calls `end`
stop() {
  trap '' INT TERM HUP
  # First the gateway, so that the requests it has are answered; then those who answer them.
  end sluice
  end "${!pid_of[@]}"
  rm -f run/*.pid
}

# shellcheck disable=SC2317
end() {
  local name
  for name in "$@"; do
    [[ -z ${pid_of[$name]-} ]] || kill -TERM "${pid_of[$name]}" 2>/dev/null || true
  done
  for name in "$@"; do
    [[ -z ${pid_of[$name]-} ]] || wait "${pid_of[$name]}" 2>/dev/null || true
    unset "pid_of[$name]"
  done
}

trap stop EXIT
# Ctrl-C is how a demo ends, so it is no failure.
trap 'echo; echo "stopping: what is under way is finished first"; exit 0' INT TERM HUP

# ── Starting ─────────────────────────────────────────────────────────────────────────────────────────────

# In a session of its own: Ctrl-C is for this script alone, which then stops all in order.
start() { # name, command...
  setsid "${@:2}" </dev/null >"run/$1.log" 2>&1 &
  pid_of[$1]=$!
  echo $! >"run/$1.pid"
}

# Waits for an answer, and not for a time.
await() { # name, URL
  local deadline=$((SECONDS + patience_s))
  until curl --silent --fail --noproxy '*' --max-time 2 --output /dev/null "$2"; do
    kill -0 "${pid_of[$1]}" 2>/dev/null || give_up "$1" 'has ended'
    ((SECONDS < deadline)) || give_up "$1" "does not answer at $2 after ${patience_s}s"
    sleep 0.05
  done
}

give_up() { # name, what it did
  # The last words of a program that fails are the reason.
  tail -n 20 "run/$1.log" >&2
  die "$1 $2; the lines above are the end of run/$1.log"
}

mkdir -p run
# Of this run alone: a log that grows from demo to demo fills a disk.
rm -f run/*.log
# One key for all, or a token from one server would be worth nothing at the next.
[[ -s run/token.key ]] || (umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >run/token.key)

echo 'starting four servers'
command_of 8001
start workouts-8001 "${command[@]}" --seed
await workouts-8001 http://127.0.0.1:8001/ready
for port in 8002 8003 8004; do
  command_of "$port"
  start "workouts-$port" "${command[@]}"
done
for port in 8002 8003 8004; do
  await "workouts-$port" "http://127.0.0.1:$port/ready"
done
echo 'starting sluice'
start sluice "$sluice" run -c "$config"
await sluice "http://$desk/readyz"
await sluice "http://$web/exercises"

cat <<TEXT

Sluice serves http://$web, in front of ports ${ports[*]}. Try, from this folder:

  # an exercise, twice: the second answer comes from the cache, as Cache-Status says
  curl -i http://$web/exercises/1

  # give up what is stored of it: the next answer comes from a server again
  $sluice purge --tag exercise-1 --admin $desk

  # log in; the token is good at every server
  curl -s http://$web/login -H 'Content-Type: application/json' -d '{"name":"demo","password":"demo-password"}'

  # what the gateway knows of its servers and its cache; as JSON: curl -s http://$desk/status
  $sluice status --admin $desk

  # take a server out of rotation without losing a request ("up" puts it back)
  $sluice server workouts 127.0.0.1:8001 --state drain --admin $desk

  # kill one, and nobody notices; server-instance says who has answered (deploy/demo.sh server 8002 starts it again)
  kill -9 \$(cat run/workouts-8002.pid); curl -i http://$web/

In a browser: http://$web/site/ shows the catalogue, and what the cache did for it.
Administration: http://$desk/status and http://$desk/metrics. Logs: run/. Configuration: $config, reloaded when it changes.
Ctrl-C stops everything.
TEXT

# ── Running ──────────────────────────────────────────────────────────────────────────────────────────────

while [[ -n ${pid_of[sluice]-} ]]; do
  wait -n "${pid_of[@]}" 2>/dev/null || true
  for name in "${!pid_of[@]}"; do
    if ! kill -0 "${pid_of[$name]}" 2>/dev/null; then
      unset "pid_of[$name]"
      echo "$name has ended"
    fi
  done
done
give_up sluice 'has ended'
