#!/usr/bin/env bash
# The guides of docs/guides.md as a reader follows them: every block under `<!-- run -->` runs, in one folder, and prints the block under
# `<!-- prints -->` after it; `…` stands for any characters, alone in a line for any lines. `<!-- run with dicom -->` needs the sample
# data and a build with DCMTK.
# Usage: guides.sh FOLDER_OF_PROGRAMS
. "$(dirname "$0")/../support/script.sh"
bin=$(cd "$bin" && pwd)
cd "$work"

have=()
if [ -d "$shared/data/dicom" ]; then
  ln -s "$shared/data/dicom" dicom
  if ! "$bin/hlip_inspect" -q dicom/ct_series_j2k 2>&1 | grep -q "built without"; then have=(dicom); fi
fi

cat >.guides.py <<'PYTHON'
import difflib, os, pathlib, re, subprocess, sys

page, programs, *have = sys.argv[1:]
os.environ["PATH"] = programs + os.pathsep + os.environ["PATH"]


def fail(line, text):
    sys.exit(f"guides: {page}:{line}: {text}")


def blocks():
    """(line, section, marker, text) of every block of code; the marker is the comment in the line above it."""
    section, before, marker, start, text = "", "", "", 0, None
    for number, line in enumerate(pathlib.Path(page).read_text().splitlines(), 1):
        if line.startswith("```") and text is None:
            start, marker, text = number, before, []
        elif line == "```":
            yield start, section, marker, "".join(t + "\n" for t in text)
            text = None
        elif text is not None:
            text.append(line)
        elif line.startswith("## "):
            section = line[3:]
        before = line


def pattern(text):
    return re.compile("".join("(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in text.splitlines()))


ran, skipped, sections, run = {}, 0, [], None
for line, section, marker, text in blocks():
    if section and section not in sections:
        sections.append(section)
    wants_output = run is not None
    if marker == "<!-- prints -->":
        if not wants_output:
            fail(line, "prints nothing that was run")
        (start, needs, commands), run = run, None
        if needs and needs not in have:
            skipped += 1
            print(f"guides: SKIPPED {section}, line {start}: there is no {needs}")
            continue
        result = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
        if result.returncode != 0:
            fail(start, f"exit code {result.returncode}\n{result.stdout}{result.stderr}")
        if not pattern(text).fullmatch(result.stdout):
            diff = difflib.unified_diff(text.splitlines(), result.stdout.splitlines(), "the page", "printed", lineterm="")
            fail(line, "other output (… matches anything)\n" + "\n".join(diff) + "\n" + result.stderr)
        ran[section] = ran.get(section, 0) + 1
    elif wants_output:
        fail(run[0], "is not followed by what it prints")
    elif match := re.fullmatch(r"<!-- run(?: with (\w+))? -->", marker):
        run = line, match[1], text
if run is not None:
    fail(run[0], "is not followed by what it prints")
for section in sections:
    if not ran.get(section):
        fail(1, f"nothing was run of '{section}'")
if len(sections) != 8:
    fail(1, f"{len(sections)} guides, there should be 8")
print(f"guides: {sum(ran.values())} blocks of {len(sections)} guides print what the page says, {skipped} skipped")
PYTHON
python3 .guides.py "$source/docs/guides.md" "$bin" "${have[@]}"
