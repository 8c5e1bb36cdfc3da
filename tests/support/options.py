"""options.py BIN SOURCE WORK: what every program promises about its options; tests/scripts/options.sh runs it.

The options are taken from --help, so a new one is tested from the day it appears. Every program has --version and refuses numbers that are
none. Programs with --config read back from a file what --print-config wrote, for every option and for values that a file can break."""
import os
import pathlib
import re
import subprocess
import sys

try:
    import tomllib  # Python 3.11: another reader's opinion of what we write
except ImportError:
    tomllib = None

bin_folder, source, work = (pathlib.Path(a).resolve() for a in sys.argv[1:4])
os.environ["OMP_WAIT_POLICY"] = "passive"  # so that programs do not start themselves twice
os.chdir(work)
failures = []

# Names and values with all that configuration files are known to lose.
HARD = b' a # "b\' = \\ [c, d]\n\te\xc3\xa9 '
BROKEN = HARD + b"\xff"
pathlib.Path("file.json").write_text("{}")
hard_file, hard_folder, hard_json = (os.fsdecode(HARD + end) for end in (b"file", b"folder", b".json"))
pathlib.Path(hard_file).write_text("")
pathlib.Path(hard_folder).mkdir()
pathlib.Path(hard_json).write_text('{"name": "phantom"}')


def run(program, *arguments):
    program, *subcommand = program.split()
    done = subprocess.run([str(bin_folder / program), *subcommand, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def check(holds, what):
    if not holds:
        failures.append(what)
        print("options:", what)


def options_of(program, *subcommand):
    """(name, specification) of every option in --help, e.g. ("lr", "FLOAT:POSITIVE=0.0005"); a flag has an empty specification."""
    code, text, said = run(program, *subcommand, "--help")
    check(code == 0, f"{program} --help exits with {code}: {said}")
    text = text.decode()
    found = re.findall(r"^  (?:-\w,)?--([\w-]+)(?:,--[\w-]+)*(?: (\S.*?))?(?:  .*)?$", text, re.M)
    return [(name, spec or "") for name, spec in found], re.findall(r"^  ([a-z][\w-]+)  ", text.split("Subcommands:")[1], re.M) if "Subcommands:" in text else []


def commands_of(program, *words):
    """(words, options) of a program and of every command below it."""
    known, subcommands = options_of(program, *words)
    return [(list(words), known)] + [command for s in subcommands for command in commands_of(program, *words, s)]


def number_type(spec):
    return re.match(r"(INT|UINT|FLOAT)\b", spec)


def value_for(name, spec):
    """Words that an option takes, none of them its default."""
    if not spec:
        return []
    if name == "input-info":
        return ["-1000", "123.456", "resize"]
    if name == "decoder-widths":
        return ["32", "16"]
    if name == "size" and " x 3" in spec:
        return ["32", "64", "32"]  # multiples of every encoder's stride
    if name == "window":
        return ["-900", "123.456"]
    if name == "precision":
        return ["fp32"]  # others depend on the machine
    if name in ("global-size", "local-size"):
        return ["112" if name == "local-size" else "224"]  # multiples of every encoder's patches
    if name == "epochs-cooldown":
        return ["2"]  # no longer than the shortest run
    if name == "local-voxels":
        return ["48", "48", "72"]  # multiples of patches
    if name == "ct-preset":
        return ["spacing=9,5,5 mode=resize"]
    if name == "warmup-teacher-temp":
        return ["0.05"]  # below --teacher-temp
    if choices := re.search(r"\{(.*?)\}", spec):
        return [choices[1].split(",")[-1]]
    if bounds := re.search(r"in \[(\S+) - ([^\s\])]+)", spec):
        low, high = map(float, bounds.groups())
        several = int(re.search(r" x (\d)", spec)[1]) if " x " in spec else 1
        return several * [repr(low + (high - low) / 3.7) if spec.startswith("FLOAT") else str(int(min(high, max(low, 12))))]
    if number_type(spec):
        return {"INT": ["12"], "UINT": ["18446744073709551615"], "FLOAT": ["0.1234567890123"]}[number_type(spec)[1]]
    if "NAME or FILE.json" in spec:
        return [hard_json]
    if ":FILE" in spec:
        return [hard_file]
    if ":DIR" in spec:
        return [hard_folder]
    return [os.fsdecode(HARD if name == "out" else BROKEN)]


def round_trip(program, name, words):
    """An option with whatever it means nothing without, written and read back. `program` may be a program and its subcommand."""
    said = ""
    for base in ([], ["--phantom", "16"], ["--data-root", "."], ["--data-root", ".", "--train-json", "file.json"], ["--images", "."],
                 ["--images", ".", "--encoder", "untrained:x"], ["--volumes", "."], ["--data-root", ".", "--classes", "a"]):
        given = [f"--{name}", *words]
        given += [word for pair in zip(base[::2], base[1::2]) if pair[0] != f"--{name}" for word in pair]
        given += [] if name == "out" else ["--out", "run"]
        for _ in range(4):
            code, first, said = run(program, *given, "--print-config")
            wanted = re.search(r"means nothing without (--[\w-]+)(?: ([\w-]+))?|needs (--train-json)", said)
            if code == 0 or not wanted or wanted[1] in given:
                break
            companion = wanted[1] or wanted[3]
            given += [companion] + ([wanted[2]] if wanted[2] else ["12"] if companion in ("--text-steps", "--val-frequency", "--accum-freq") else ["."] if companion in ("--images", "--classes") else ["file.json"] if companion.endswith(("-json", "-labels")) else [])
        if code == 0:
            break
    if code != 0:
        return check(False, f"{program} --{name} {words}: exit code {code}: {said.strip()}")
    pathlib.Path("first.toml").write_bytes(first)
    code, second, said = run(program, "--config", "first.toml", "--print-config")
    check(code == 0 and second == first, f"{program} --{name} {words} does not come back from the file that --print-config wrote: {said.strip()}")
    if tomllib and b"\xff" not in first:
        stored = tomllib.loads(first.decode()).get(name)
        check(stored == (words if len(words) > 1 else words[0] if words else "true"), f"{program}: a TOML reader finds {stored!r} for --{name} {words}")


def check_files(program, options):
    """Options of a program that reads them from files: each comes back, what is no option or no TOML is refused."""
    names = dict(options)
    check(len(options) > (50 if "phantom" in names else 25), f"{program} --help: only {len(options)} options understood")
    start = (["--phantom", "16"] if "phantom" in names else []) + ["--out", "run"]
    for name, spec in options:
        if name in ("help", "version", "config", "resume", "dry-run", "print-config"):
            pathlib.Path("refused.toml").write_text(f'{name} = "x"\n')
            code, _, said = run(program, *start, "--config", "refused.toml")
            check(code == 2 and "refused.toml: line 1: " in said and name in said, f"{program}: a file may not hold {name}, exit code {code}: {said}")
        else:
            round_trip(program, name, value_for(name, spec))
    for text, wanted in (('epochz = "3"', "line 1: \"epochz\" is no option"), ('\nlr = "fast"', "line 2: --lr"), ("this is no TOML", "line 1: no ="), ("[table]\n", "line 1: a table"),
                         ('lr = "0.1"\nlr = "0.1"', "line 2: \"lr\" a second time"), ("lr = 0.1 0.2", "line 1: something after"), ('out = "x', "line 1: a text without"), ("skip-bad = maybe", "line 1: ")):
        pathlib.Path("bad.toml").write_text(text)
        code, _, said = run(program, *start, "--config", "bad.toml", "--print-config")
        check(code == 2 and "bad.toml: " + wanted in said, f"{program} --config of {text!r}: exit code {code}: {said.strip()}")


programs = [p.stem for p in sorted((source / "examples").glob("*.cpp")) if (bin_folder / p.stem).exists()]
version = re.search(r'HLIP_VERSION "(.*)"', (source / "include/hlip/version.hpp").read_text())[1]
checked = 0
for program in programs:
    code, text, said = run(program, "--version")
    check(code == 0 and version in text.decode(), f"{program} --version: exit code {code}: {text!r}")
    for subcommand, known in commands_of(program):
        for name, spec in known:
            if number_type(spec):
                several = int(re.search(r" x (\d)", spec)[1]) if " x " in spec else 1
                code, _, said = run(program, *subcommand, f"--{name}", *["nan"] * several)
                check(code == 2 and f"--{name}: " in said, f"{program} --{name} nan: exit code {code}: {said.strip()}")
                checked += 1
        if "config" in dict(known):
            checked += len(known)
            check_files(" ".join([program, *subcommand]), known)

for program, arguments in (("preprocess_ct_rate", ["--data-root", ".", "--out", "o", "--spacing", "1,1"]), ("preprocess_ct_rate", ["--data-root", ".", "--out", "o", "--spacing", "0,1,1"]),
                           ("preprocess_ct_rate", ["--data-root", ".", "--out", "o", "--spacing", "3,1,1 mode=resize"]), ("zero_shot_ct_rate", ["--model", "phantom", "--volume", "v", "--rescale", "1"]),
                           ("zero_shot_ct_rate", ["--model", "phantom", "--volume", "v", "--rescale", "0", "5"])):
    if program not in programs:
        continue
    code, _, said = run(program, *arguments)
    check(code == 2, f"{program} {' '.join(arguments)}: exit code {code}, a wrong value is wrong usage: {said.strip()}")

print(f"options: {checked} options of {len(programs)} programs, {len(failures)} faults")
sys.exit(1 if failures else 0)
