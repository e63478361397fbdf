#!/usr/bin/env python3
"""Odd values of every option of every verb end with a sentence: option_values.py --bin DIR --inputs DIR

Reads each verb's options and positionals from --help and runs the verb with numbers that are none, texts with
control characters, paths that cannot be read or written. The exit status must be one of those that the manual
gives for such mistakes, and standard error must be the program's own words. --share N tries N values on each
option, which take turns; without it all are tried."""
import argparse
import concurrent.futures
import dataclasses
import itertools
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile

NUMBERS = ["nan", "-nan", "inf", "-inf", "infinity", "-1", "0", "1e999", "-1e999", "1e-999", "0x10", "010", "1.5",
           "99999999999999999999", "-99999999999999999999", "18446744073709551615", "9223372036854775807",
           "-9223372036854775808", "2147483648", "", " ", "12abc", "10KB", "1_000", "1,5", "--", "１２", "3;4", "1e3"]
TEXTS = ["", " ", "x" * 100_000, "red\x1b[31m\x07", "line\nmythos: error: forged", b"\xff\xfe\x80", "é\u009b31m\u202e",
         "nan", "-1", "1e999", "\\xZZ", "\\", "a=b", "=", "model.dim=nan", "train.lr=1e999", "x>=nan", "x>=", ">=1",
         "auto", "cuda:99", "1,2,,3", "1,-2", "nan,1", "99999999999999999999,1", "%n%s%s", "{}", "../..", "(", "[a-"]
PATHS = ["", " ", "absent/deeper/x", "folder", "readonly/x", "empty", "noise.bin", "noise.bin/x", "/proc/x", "/dev/null",
         "/dev/full", "dangling", "loop", ".", "/", "*", "[", "x" * 300, "x/" * 3000, "red\x1b[31m\x07",
         "line\nmythos: error: forged", b"raw\xff\xfe", "é\u009b31m\u202e", "folder:nan", "folder:0", "text.txt:x"]
# Value names of --help that stand for numbers and for texts; all others are taken for paths.
NUMBER = re.compile(r"^([NFXK]|ID|INT|UINT|FLOAT)\b")
TEXT = re.compile(r"^(S|NAME|TEXT|KEY=VALUE|FIELD>=X|LIST|TYPE|FORMAT|MODE|RULE|DEVICE|SPLIT|\{|N,N|N\[)")
# Commands that work, and quickly; {NAME=VALUE} is the value of a positional.
BASES = {
    "vocab": [["--vocab-size", "300", "--output", "out.model", "--sample-bytes", "9000", "{FILE=text.txt}"],
              ["--evaluate", "--tokenizer", "tok.model", "{FILE=text.txt}"]],
    "tokenize": [["--tokenizer", "tok.model", "--output", "out", "--json", "{FILE=text.txt}"],
                 ["--tokenizer", "tok.model", "--ids", "{FILE=text.txt}"],
                 ["--tokenizer", "tok.model", "--decode", "{FILE=ids.txt}"]],
    "synth p-hop": [["--count", "3"]],
    "synth addition": [["--count", "3"]],
    "synth modular": [["--count", "3"]],
    "synth pointer": [["--count", "3"], ["--count", "3", "--to-end"]],
    "synth parity": [["--count", "3"]],
    "synth i-gsm": [["--count", "3"]],
    "synth tokenizer": [[]],
    "shards info": [["{DIR=data}"], ["--json", "{DIR=data}"]],
    "shards verify": [["{DIR=data}"], ["--json", "{DIR=data}"]],
    "shards cat": [["{DIR=data}"]],
    "shards head": [["{DIR=data}"]],
    "shards merge": [["{OUT=out}", "{DIR=data}"]],
    "shards split": [["{DIR=data}", "{OUT=out}", "--parts", "2"], ["{DIR=data}", "{OUT=out}", "--val-fraction", "0.2"]],
    "shards import": [["{DIR=out}", "{FILE=tokens.bin}", "--tokenizer", "tok.model", "--format", "llmc"]],
    "shards export": [["{DIR=data}", "{OUT=out}", "--format", "llmc"],
                      ["{DIR=data}", "{OUT=out}", "--format", "megatron"]],
    "presets list": [[]],
    "presets show": [["{NAME=nano}"]],
    "report": [["{RUN=report-run}"], ["{RUN=report-run}", "--output", "page.html"]],
    "plan": [["--preset", "nano"], ["--preset", "nano", "--gpus", "8", "--gpu", "h100-80g"], ["--config", "small.toml", "--json"], ["--match-flops", "small.toml", "--toml"]],
    "bench tokenize": [["--repeat", "1", "--warmup", "0", "--tokenizer", "tok.model", "{FILE=text.txt}"]],
    "bench data": [["--repeat", "1", "--warmup", "0", "--tokens", "2000", "--seq-len", "64", "{DIR=data}"]],
    "bench train": [["--repeat", "1", "--warmup", "0", "--config", "small.toml"]],
    "bench prefill": [["--repeat", "1", "--warmup", "0", "--config", "small.toml", "--seq-len", "8"]],
    "bench decode": [["--repeat", "1", "--warmup", "0", "--config", "small.toml", "--context", "8", "--tokens", "2"]],
    "train": [["--config", "small.toml", "--data", "data", "--out", "out", "--steps", "1"]],
    "eval": [["--checkpoint", "run", "--data", "data", "--max-tokens", "64"]],
    "generate": [["--checkpoint", "run", "--prompt", "the", "--max-tokens", "2"],
                 ["--checkpoint", "run", "--prompt", "the", "--max-tokens", "2", "--loops", "auto"],
                 ["--checkpoint", "run", "--jsonl", "prompts.jsonl", "--max-tokens", "2"]],
    "fit-cache": [["--checkpoint", "run", "--data", "data", "--rank", "4", "--max-tokens", "64", "--output", "out"]],
    "stability-check": [["{run=run}"]],
    "checkpoint list": [["{RUN=run}"]],
    "checkpoint verify": [["{RUN=run}"]],
    "export": [["--checkpoint", "run", "--output", "out"]],
    "import": [["--weights", "exported/model.safetensors", "--config", "exported/config.toml", "--output", "out"]],
}
MODELS = {"bench train", "bench prefill", "bench decode", "train", "eval", "generate", "fit-cache", "stability-check",
          "checkpoint list", "checkpoint verify", "export", "import"}
STATUSES = {0, 2, 3, 4}
# 1 is the answer of a verb that checks.
CHECKS = {"shards verify", "checkpoint verify", "stability-check", "export"}
FOREIGN = re.compile(r"internal error|std::|what\(\)|\bsto(i|l|ul|ll|ull|f|d|ld)\b|filesystem error|json\.exception|\[json|basic_string|"
                     r"vector::|bad_alloc|terminate called|\.(cc|cpp|cxx|h|hpp)(:|\(|\b)|c10|at::|Sanitizer|runtime error|"
                     r"Exception raised|TORCH_|ENFORCE|regex_error|iostream|not in range .*0000000000")
# What terminals obey: control characters except the end of a line, C1 controls, overrides of direction.
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@dataclasses.dataclass
class Run:
    """One command: a verb with the words that make it work, one of them changed."""
    verb: str
    option: str
    value: object
    words: list

    def __str__(self):
        return f"{self.verb} {self.option} {str(self.value)[:60]!r}"


def help_of(bin_folder, verb):
    done = subprocess.run([bin_folder / "mythos", *verb.split(), "--help"], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        sys.exit(f"mythos {verb} --help ended with status {done.returncode}")
    return done.stdout


def section(text, title):
    found = re.search(rf"^{title}:\n((?:  .*\n)*)", text, re.MULTILINE)
    return found.group(1) if found else ""


def leaves(bin_folder, verb):
    """The verb, or its subcommands where it has some."""
    names = re.findall(r"^  ([a-z][a-z-]*)", section(help_of(bin_folder, verb), "Subcommands"), re.MULTILINE)
    return [f"{verb} {name}" for name in names] or [verb]


def parameters(text):
    """(name, value name) of every option that takes a value and of every positional in the text of --help."""
    options = re.findall(r"^  (?:-\w,)?(--[a-z][a-z0-9-]*) ((?!\(required\))\S+)", text, re.MULTILINE)
    positionals = re.findall(r"^  (\S+)", section(text, "Positionals"), re.MULTILINE)
    return [(name, kind) for name, kind in options if not kind[0].islower()] + [(name, name) for name in positionals]


def values_for(name, kind):
    if name == "FILE":  # read to their end, which /dev/full does not have
        return [path for path in PATHS if path != "/dev/full"]
    if name in ("--steps", "--count"):  # as many as asked for are taken
        return [number for number in NUMBERS if number != "2147483648"]
    if NUMBER.match(kind):
        return NUMBERS
    if kind in ("N|auto", "TOKEN"):
        return NUMBERS + TEXTS
    return TEXTS if TEXT.match(kind) else PATHS


def with_value(words, name, value):
    """The words with the value of the option or positional replaced or added. {NAME=VALUE} is a positional's."""
    if not name.startswith("-"):
        marked = f"{{{name}="
        changed = [value if w.startswith(marked) else w for w in words]
        return plain(changed if changed != words else [*words, value])
    if name in words:
        at = words.index(name)
        return plain([*words[:at + 1], value, *words[at + 2:]])
    return plain([*words, name, value])


def plain(words):
    return [re.sub(r"^\{\w+=(.*)\}$", r"\1", w) if isinstance(w, str) else w for w in words]


def prepare(folder):
    (folder / "folder").mkdir()
    (folder / "readonly").mkdir(mode=0o555)
    (folder / "empty").touch()
    (folder / "noise.bin").write_bytes(bytes(i * 73 % 256 for i in range(3000)))
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")


def limits():
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 28, 1 << 28))


def fault_of(run, bin_folder, inputs):
    """What is wrong with a run, or None."""
    with tempfile.TemporaryDirectory(prefix="mythos-values-") as name:
        folder = pathlib.Path(name)
        shutil.copytree(inputs, folder, dirs_exist_ok=True)
        prepare(folder)
        env = {**os.environ, "LC_ALL": "C.UTF-8", "NO_COLOR": "1", "MYTHOS_THREADS": "1", "OMP_NUM_THREADS": "1"}
        command = [str(bin_folder / "mythos"), *run.verb.split(), *run.words]
        try:
            done = subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                                  preexec_fn=limits)
        except subprocess.TimeoutExpired:
            return "does not end within a minute"
        except (OSError, ValueError):
            return None  # the system itself refuses such words
    return judged(run, done.returncode, done.stderr, done.stdout)


def judged(run, status, error, output):
    allowed = STATUSES | ({1} if run.verb in CHECKS else set())
    try:
        text = error.decode()
    except UnicodeDecodeError:
        return f"standard error is not UTF-8: {error[-300:]!r}"
    last = text[-400:]
    if status not in allowed:
        return f"status {status}: {last!r}"
    if FOREIGN.search(text):
        return f"status {status}, foreign words: {last!r}"
    if OBEYED.search(text):
        return f"control characters in a message: {last!r}"
    program = "mythos-" + run.verb.split()[0]
    lines = text.splitlines()
    said = [line for line in lines if re.match(rf"{program}: error: .{{8}}", line)]
    if status not in (0, 1) and len(said) != 1:
        return f"status {status} without one message: {last!r}"
    if any(line.startswith("mythos: error: forged") for line in lines):
        return f"a name makes a line of its own: {last!r}"
    if re.search(rb"\x1b|\xc2\x9b", output) and "--decode" not in run.words and run.verb != "shards cat":
        return f"control characters on standard output: {output[-300:]!r}"
    return None


def runs_of(bin_folder, verb, share, turn):
    """Each base command of a verb with some values, or all, of each option and positional."""
    for name, kind in parameters(help_of(bin_folder, verb)):
        values = values_for(name, kind)
        for base in BASES[verb]:
            for value in (next(turn[len(values)]) for _ in range(min(share, len(values)))):
                yield Run(verb, name, values[value], with_value(base, name, values[value]))


def turns():
    """For each length of a list: its places, round and round."""
    class Turns(dict):
        def __missing__(self, length):
            self[length] = itertools.cycle(range(length))
            return self[length]
    return Turns()


def unknown_verbs(bin_folder):
    """Verbs of this build that no base command is known for."""
    verbs = re.findall(r"^  ([a-z][a-z-]*)", subprocess.run([bin_folder / "mythos", "--help"], capture_output=True,
                                                            text=True, check=True).stdout, re.MULTILINE)
    built = [verb for verb in verbs if (bin_folder / f"mythos-{verb}").exists()]
    return [leaf for verb in built for leaf in leaves(bin_folder, verb) if leaf not in BASES]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--inputs", type=pathlib.Path, required=True, help="folder whose files each run finds")
    parser.add_argument("--share", type=int, default=10**6, help="values of each option to try; default all")
    parser.add_argument("--models", action="store_true", help="the verbs that need LibTorch instead of the others")
    parser.add_argument("--verb", help="only this verb")
    args = parser.parse_args()
    faults = [f"no base command for 'mythos {verb}'" for verb in unknown_verbs(args.bin)]
    turn = turns()
    runs = [run for verb in BASES if (args.verb == verb if args.verb else (verb in MODELS) == args.models)
            for run in runs_of(args.bin, verb, args.share, turn)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for run, fault in zip(runs, pool.map(lambda run: fault_of(run, args.bin, args.inputs), runs)):
            if fault:
                faults.append(f"{run}: {fault}")
    print(*faults, sep="\n", end="\n" if faults else "")
    print(f"{len(runs)} runs, {len(faults)} faults")
    return 1 if faults or not runs else 0


if __name__ == "__main__":
    sys.exit(main())
