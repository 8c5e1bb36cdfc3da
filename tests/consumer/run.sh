#!/usr/bin/env bash
# run.sh KIND COMPILER SOURCE_DIR BUILD_DIR: installs hlip into a fresh prefix and builds and runs one consumer with it.
set -euo pipefail
kind=$1 compiler=$2 source=$3 build=$4
here=$source/tests/consumer
work=$build/consumer/$kind
prefix=$work/prefix
rm -rf "$work"
mkdir -p "$work"
cd "$work"

generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
with_cmake() {  # with_cmake OPTION…
  cmake -S "$here/$kind" -B build "${generator[@]}" -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=Debug "$@"
  cmake --build build
  ./build/consumer
}

case $kind in
  find_package*)
    cmake --install "$build" --prefix "$prefix" >/dev/null
    # An installed package may be moved and must not know where it was made.
    mv "$prefix" "$prefix-moved"
    if grep -rIl -e "$source" -e "$build" "$prefix-moved/share"; then
      echo "the installed files above name the folders they were made in"
      exit 1
    fi
    with_cmake -DCMAKE_PREFIX_PATH="$prefix-moved"
    ;;
  add_subdirectory | fetch_content)
    with_cmake -DHLIP_SOURCE_DIR="$source"
    ./build/consumer_full
    ;;
  pkg_config)
    cmake --install "$build" --prefix "$prefix" >/dev/null
    export PKG_CONFIG_PATH=$prefix/share/pkgconfig
    # shellcheck disable=SC2046
    "$compiler" -std=c++20 $(pkg-config --cflags hlip) "$here/main.cpp" "$here/squares.cpp" $(pkg-config --libs hlip) -o consumer
    ./consumer
    ;;
  bare_include)
    "$compiler" -std=c++20 -fopenmp -I"$source/include" "$here/main.cpp" "$here/squares.cpp" -lfmt -o consumer
    ./consumer
    ;;
esac
