#!/bin/sh
# Sees to it that programs needed for a build are here: deploy/tools.sh cmake curl varnishd=varnish
#
# A program whose package has another name is given with it: PROGRAM=PACKAGE. PYTHON:MODULE=PACKAGE asks for a module
# that a Python has or has not.
# What is here already is not touched, so nothing is asked of the network once all are. What is missing is
# installed by the system's package manager, and said before.
set -eu

say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $*"
  exit 1
}

is_here() {
  case $1 in
  *:*) "${1%%:*}" -c "import ${1#*:}" >/dev/null 2>&1 ;;
  *) command -v "$1" >/dev/null 2>&1 ;;
  esac
}

# Rust and the C compiler are the machine's own choice: they are asked for, not installed.
ask_for() {
  command -v "$1" >/dev/null 2>&1 || die "$1 is missing: $2"
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo "$@"
  else
    die "this needs root, and there is no sudo: run as root: $*"
  fi
}

install() {
  if command -v apt-get >/dev/null 2>&1; then
    say "installing with apt-get: $*"
    # Lists of a fresh machine are empty or old; one that is up to date is not fetched again.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >&2 && return
    as_root apt-get update >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >&2
  elif command -v dnf >/dev/null 2>&1; then
    say "installing with dnf: $*"
    as_root dnf install -y "$@" >&2
  elif command -v apk >/dev/null 2>&1; then
    say "installing with apk: $*"
    as_root apk add "$@" >&2
  elif command -v pacman >/dev/null 2>&1; then
    say "installing with pacman: $*"
    as_root pacman -S --noconfirm --needed "$@" >&2
  elif command -v zypper >/dev/null 2>&1; then
    say "installing with zypper: $*"
    as_root zypper --non-interactive install "$@" >&2
  elif command -v brew >/dev/null 2>&1; then
    say "installing with brew: $*"
    brew install "$@" >&2
  else
    die "no package manager found: install by hand: $*"
  fi
}

ask_for cc "install a C compiler (Debian: apt-get install build-essential)"
ask_for cargo "install Rust by rustup, see https://rustup.rs, then open a new shell or run: . ~/.cargo/env"

missing=
packages=
for tool in "$@"; do
  # Without "=" both are the whole word.
  program=${tool%%=*}
  is_here "$program" && continue
  missing="$missing $program"
  packages="$packages ${tool#*=}"
done
[ -n "$missing" ] || exit 0

# Every name here is a package's on all of these systems.
# shellcheck disable=SC2086 # a list of words
install $packages

for program in $missing; do
  is_here "$program" || die "$program is still missing: install it by hand"
done
