#!/bin/sh
# Sees to it that target/clients has a Python with what requirements.txt lists.
#
# What was installed for the same list is kept, so nothing is asked of the network once it is here. A machine whose
# Python was replaced gets a new one.
set -eu
cd "$(dirname "$0")/../.."

at=target/clients
list=tests/clients/requirements.txt

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

command -v python3 >/dev/null 2>&1 || die "python3 is missing: run deploy/tools.sh python3"
python3 -c 'import ensurepip, venv' 2>/dev/null ||
  die "python3 cannot make environments: run deploy/tools.sh python3:ensurepip=python3-venv"

made_of="$(python3 --version) $(cksum <"$list")"
if [ "$(cat "$at/made-of" 2>/dev/null)" = "$made_of" ] && "$at/bin/python" -c '' 2>/dev/null; then
  exit 0
fi

printf 'installing into %s: what %s lists\n' "$at" "$list" >&2
rm -rf "$at"
mkdir -p target
python3 -m venv "$at"
"$at/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --requirement "$list"
# Last: what was cut off in between is made anew.
printf '%s\n' "$made_of" >"$at/made-of"
