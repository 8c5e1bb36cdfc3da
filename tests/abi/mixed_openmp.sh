#!/usr/bin/env bash
# mixed_openmp.sh COMPILER OPTIONS_FILE FOLDER: core headers compiled with and without OpenMP, or with and without a device
# for the Cuda backend, must not link, and the linker must name the function that is missing. The same files, built alike, do link.
set -euo pipefail
compiler=$1
mapfile -t options <"$2"
folder=$3
plain=()
for option in "${options[@]}"; do
  case $option in "" | -fopenmp*) ;; *) plain+=("$option") ;; esac
done
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
cat >a.cpp <<'END'
#include <hlip/core/random.hpp>
double draw(const hlip::RandomKey& key);
int main() { return draw(hlip::RandomKey{.seed = 1}) < 1.0 ? 0 : 1; }
END
cat >b.cpp <<'END'
#include <hlip/core/random.hpp>
double draw(const hlip::RandomKey& key) { return hlip::uniform_at(key, 0); }
END
"$compiler" "${plain[@]}" -fopenmp -c a.cpp -o a_openmp.o
"$compiler" "${plain[@]}" -fopenmp -c b.cpp -o b_openmp.o
"$compiler" "${plain[@]}" -c b.cpp -o b_plain.o
"$compiler" -fopenmp a_openmp.o b_openmp.o -o same
./same
"$compiler" "${plain[@]}" -fopenmp -DHLIP_THRUST_OMP -c b.cpp -o b_thrust.o
for other in plain thrust; do
  if "$compiler" -fopenmp a_openmp.o b_$other.o -o mixed 2>log; then
    echo "a_openmp.o and b_$other.o link into one program"
    exit 1
  fi
  grep -q 'undefined reference.*draw\|draw.*undefined' log || { cat log; exit 1; }
done
echo "builds with and without OpenMP, and with and without a device, do not mix"
