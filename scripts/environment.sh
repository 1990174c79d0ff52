# shellcheck shell=bash
# Sourced by start and test: finds a Python, makes the virtual environment, installs into it.
# VENV: where the environment is (default .venv in the checkout). PYTHON: which interpreter makes it.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${VENV:-$root/.venv}

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '  hint: %s\n' "$2" >&2
  exit 1
}

# Debian's packages come as root or through a sudo that asks nothing; else the command is told.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif sudo -n true 2>/dev/null; then sudo -n "$@"; else return 1; fi
}

find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python; do
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$candidate"; return; }
  done
  if candidate=$(command -v "${PYTHON:-python3}"); then
    die "Python 3.11 or newer is needed; $candidate is $("$candidate" -V 2>&1)" \
      "sudo apt-get install python3.11 python3.11-venv, or name another with PYTHON=/path/to/python"
  fi
  die "no Python was found; 3.11 or newer is needed" "sudo apt-get install python3 python3-venv"
}

make_venv() {
  local python package
  if ! [ -x "$VENV/bin/python" ] || ! "$VENV/bin/python" -c 'import pip' 2>/dev/null; then
    python=$(find_python) || exit 1
    package="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    # Debian splits ensurepip from Python: without it, `venv` makes an environment that has no pip.
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
      { [ -n "${INSTALL_DEBIAN-}" ] && install_debian "$package" && "$python" -c 'import ensurepip' 2>/dev/null; } ||
        die "$python has no venv module" "sudo apt-get install $package"
    fi
    say "Making a virtual environment in $VENV"
    "$python" -m venv --clear "$VENV" || die "$python could not make a virtual environment in $VENV"
  fi
  export VIRTUAL_ENV=$VENV PATH="$VENV/bin:$PATH"
  unset PYTHONHOME PYTHONPATH
}

install_debian() {
  local wanted=() name
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || wanted+=("$name")
  done
  [ ${#wanted[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || return 1
  say "Installing Debian packages: ${wanted[*]}"
  { as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${wanted[@]}"; } >&2 ||
    { printf 'not installed; to do it by hand: sudo apt-get install %s\n' "${wanted[*]}" >&2; return 1; }
}

# once KEY FILE... -- COMMAND: runs the command unless it has succeeded before with these very files.
once() {
  local key=$1 files=() stamp; shift
  while [ "$1" != -- ]; do files+=("$1"); shift; done; shift
  stamp=$(cat -- "${files[@]}" | sha256sum)
  [ "$(cat "$VENV/.done-$key" 2>/dev/null)" = "$stamp $root" ] && return
  "$@" || return
  echo "$stamp $root" >"$VENV/.done-$key"
}

# uv is quick; pip knows the mirrors and proxies that its own configuration names, so it has the last word.
pip_install() {
  say "Installing ${*: -1}"
  { python -m pip install --quiet --disable-pip-version-check --upgrade pip uv &&
    { python -m uv --quiet pip install "$@" || python -m pip install --quiet "$@"; }; } ||
    die "the packages could not be installed" "is a package index reachable? try: $VENV/bin/python -m pip download --no-deps tornado"
}
