#!/usr/bin/env bash
# Configures one preset into build/PRESET, for test.sh and demo.sh:  scripts/configure.sh PRESET [cmake options]
# A folder made on a machine with another processor is thrown away: its programs might stop at an unknown instruction.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
build=build/$preset

cpu=none
[ -r /proc/cpuinfo ] && cpu=$(grep -m1 -E '^(flags|Features)' /proc/cpuinfo | cksum | cut -d' ' -f1)
if [ -e "$build" ] && [ "$(cat "$build/processor" 2>/dev/null)" != "$cpu" ]; then
  echo "configure: $build was made for another processor, starting afresh"
  rm -rf "$build"
fi

options=()
if [ ! -e "$build/CMakeCache.txt" ] && command -v ninja >/dev/null; then options+=(-G Ninja); fi
# (The tests share a precompiled header, which ccache only looks into when told that its dates do not matter.)
if command -v ccache >/dev/null; then options+=("-DCMAKE_CXX_COMPILER_LAUNCHER=env;CCACHE_SLOPPINESS=pch_defines,time_macros;ccache"); fi
mkdir -p "$build"
if ! cmake --preset "$preset" "${options[@]}" "$@" >"$build/configure.log" 2>&1; then
  cat "$build/configure.log" >&2
  exit 1
fi
echo "$cpu" >"$build/processor"
