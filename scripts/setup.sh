#!/usr/bin/env bash
# Makes sure that everything hlip is built with is there. On Debian and Ubuntu missing packages are installed through
# apt (with sudo when not root); elsewhere the missing pieces are named. HLIP_NO_INSTALL=1 only names them.
#
#   scripts/setup.sh          what the library and the demo need
#   scripts/setup.sh PRESET   for the tests: also DCMTK, OpenJPEG (DICOM) and clang-format 14, without which they only test less; for
#                             the presets tsan and fuzz also clang 16 and libomp, for thrust-omp and thrust-asan Thrust
set -euo pipefail

missing=()   # what to say
packages=()  # what to install on Debian and Ubuntu

need() {  # need WHAT PACKAGE
  missing+=("$1")
  packages+=("$2")
}

need_tool() {  # need_tool PROGRAM PACKAGE
  command -v "$1" >/dev/null || need "$1" "$2"
}

# One preprocessor run tells which headers are missing, wherever they may be installed.
need_headers() {
  local compiler=$1 source="" line header package
  local table="Eigen/Core|eigen3/Eigen/Core libeigen3-dev
fmt/format.h libfmt-dev
zlib.h zlib1g-dev
libdeflate.h libdeflate-dev
nlohmann/json.hpp nlohmann-json3-dev
csv.h libcsv-dev
utf8proc.h libutf8proc-dev
sentencepiece_processor.h libsentencepiece-dev
CLI/CLI.hpp libcli11-dev
png.h libpng-dev
jpeglib.h libjpeg-dev
doctest/doctest.h doctest-dev
omp.h libomp-dev"
  while read -r header package; do
    source+="#if !(__has_include(<${header//|/>) || __has_include(<}>))"$'\n'"missing ${header%%|*} $package"$'\n#endif\n'
  done <<<"$table"
  local said
  said=$(printf '%s' "$source" | "$compiler" -std=c++20 -fopenmp -E -P -x c++ - 2>&1) || {
    echo "setup: $compiler does not take -std=c++20 -fopenmp: $said" >&2
    exit 1
  }
  while read -r line header package; do
    [ "$line" != missing ] || need "$header" "$package"
  done <<<"$said"
}

look() {
  missing=() packages=()
  local compiler=${CXX:-}
  [ -n "$compiler" ] || compiler=$(command -v c++ || command -v g++ || true)
  need_tool cmake cmake
  need_tool ninja ninja-build
  need_tool pkg-config pkg-config
  need_tool python3 python3
  if [ -z "$compiler" ]; then
    need "a C++ compiler" g++
    packages+=(libeigen3-dev libfmt-dev zlib1g-dev libdeflate-dev nlohmann-json3-dev libcsv-dev libutf8proc-dev libsentencepiece-dev libcli11-dev libpng-dev libjpeg-dev doctest-dev)
  else
    need_headers "$compiler"
  fi
  if [ "${1:-}" = tsan ] || [ "${1:-}" = fuzz ]; then
    need_tool clang++-16 clang-16
    compgen -G '/usr/lib/llvm-16/lib/clang/*/lib/linux/libclang_rt.tsan-*.a' >/dev/null || need "the sanitizers of clang 16" libclang-rt-16-dev
    [ -e /usr/lib/llvm-16/lib/libomp.so ] || need "libomp 16" libomp-16-dev
  fi
  if [[ "${1:-}" = thrust-* ]]; then
    compgen -G '/usr*/include/thrust/version.h' >/dev/null || compgen -G '/usr/local/cuda/include/cccl/thrust/version.h' >/dev/null || need Thrust libthrust-dev
  fi
}

install() {
  local sudo=""
  if [ "$(id -u)" -ne 0 ]; then
    sudo=$(command -v sudo) || return 1
  fi
  echo "setup: installing ${packages[*]}"
  # A fresh machine or container has no package lists yet, and an old one stale ones.
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 install -y -qq --no-install-recommends "${packages[@]}" >/dev/null 2>&1 && return 0
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
}

look "$@"
if [ ${#missing[@]} -gt 0 ] && command -v apt-get >/dev/null && [ -z "${HLIP_NO_INSTALL:-}" ]; then
  install || true
  look "$@"
fi
if [ ${#missing[@]} -gt 0 ]; then
  {
    echo "setup: these are missing:"
    for i in "${!missing[@]}"; do echo "  ${missing[$i]}  (Debian/Ubuntu package ${packages[$i]})"; done
    echo "setup: install them, as root on Debian/Ubuntu: apt-get update && apt-get install -y ${packages[*]}"
  } >&2
  exit 1
fi

# DICOM is optional: programs built without it say so.
if [ -n "${1:-}" ]; then
  look_for_dicom() {
    missing=() packages=()
    [ -e /usr/include/dcmtk/dcmdata/dcfilefo.h ] || [ -e /usr/local/include/dcmtk/dcmdata/dcfilefo.h ] || need DCMTK libdcmtk-dev
    pkg-config --exists 'libopenjp2 >= 2.5' || need "OpenJPEG 2.5" libopenjp2-7-dev
  }
  missing=() packages=()
  command -v clang-format-14 >/dev/null || clang-format --version 2>/dev/null | grep -q ' 14\.' || need "clang-format 14" clang-format-14
  if [ ${#missing[@]} -gt 0 ] && command -v apt-get >/dev/null && [ -z "${HLIP_NO_INSTALL:-}" ]; then install || true; fi
  look_for_dicom
  if [ ${#missing[@]} -gt 0 ] && command -v apt-get >/dev/null && [ -z "${HLIP_NO_INSTALL:-}" ]; then
    install || true
    look_for_dicom
  fi
  [ ${#missing[@]} -eq 0 ] || echo "setup: without DICOM, because ${missing[*]} (Debian/Ubuntu: ${packages[*]}) is not there" >&2
fi

version=$(cmake --version | sed -n 's/.*version \([0-9]*\.[0-9]*\).*/\1/p')
if [ "$(printf '%s\n3.25\n' "$version" | sort -V | head -n 1)" != 3.25 ]; then
  echo "setup: cmake is $version, hlip needs 3.25 or newer (Debian 12, Ubuntu 24.04 and later have it)" >&2
  exit 1
fi
