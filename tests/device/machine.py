"""Where the steps of a device run work: programs, device, time that is left, the log of all commands."""
import concurrent.futures
import json
import math
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Failed(Exception):
    """What a step found wrong, in one line."""


class NotNow(Exception):
    """Why a step was left out, in one line."""


class Result:
    """What a step leaves for the report: values for programs, lines of Markdown for people, faults."""

    def __init__(self):
        self.summary, self.values, self.lines, self.faults = "", {}, [], []

    def table(self, heads, rows):
        self.lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
        self.lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows] + [""]


class Machine:
    """Where the steps run: programs, device, time that is left, and the log of all commands."""

    def __init__(self, args):
        self.rehearse, self.build, self.out = args.rehearse, pathlib.Path(args.build).resolve(), pathlib.Path(args.out).resolve()
        self.out.mkdir(parents=True, exist_ok=True)
        self.bin = self.build / "bin"
        self.end = time.monotonic() + args.limit
        self.patience = args.limit / 540
        self.step_end = self.end
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="mythos-device-"))
        self.lock = threading.Lock()
        self.log = open(self.out / "log.txt", "w")
        self.facts = {"commit": self.commit(), "cores": os.cpu_count(), "python": sys.version.split()[0]}
        self.gpu_missing = self.find_gpu()
        self.device = "cpu" if self.rehearse else "cuda"
        nvcc = self.tool("nvcc")
        if nvcc:
            self.facts["nvcc"] = self.quick([nvcc, "--version"]).strip().splitlines()[-1]

    @staticmethod
    def tool(name):
        return shutil.which(name) or shutil.which(name, path="/usr/local/cuda/bin")

    @staticmethod
    def quick(command):
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=ROOT).stdout
        except (OSError, subprocess.TimeoutExpired):
            return ""

    def commit(self):
        head = self.quick(["git", "rev-parse", "--short", "HEAD"]).strip()
        if head:
            return head + (" with changes" if self.quick(["git", "status", "--porcelain", "-uno"]).strip() else "")
        return "unknown (no git)"

    def find_gpu(self):
        if not shutil.which("nvidia-smi"):
            return "no nvidia-smi on this machine"
        fields = ["name", "compute_cap", "driver_version", "memory.total"]
        answer = self.quick(["nvidia-smi", "--query-gpu=" + ",".join(fields), "--format=csv,noheader"]).strip()
        if answer.count(",") < 3:
            return "nvidia-smi tells no GPU"
        for field, value in zip(fields, answer.splitlines()[0].split(", ")):
            self.facts[field] = value
        return None

    def left(self):
        return min(self.end, self.step_end) - time.monotonic()

    def run(self, command, environment=None, check=True, limit=math.inf):
        """Runs a command within the step's time. Returns (status, stdout, stderr); status None: out of time."""
        command = [str(word) for word in command]
        begin = time.monotonic()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, errors="replace",
            cwd=ROOT, env={**os.environ, **(environment or {})}, start_new_session=True)
        try:
            out, err = process.communicate(timeout=max(1, min(limit, self.left())))
            status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            status = None
        with self.lock:
            self.log.write(f"$ {shlex.join(command)}\n")
            for text in (out, err):
                self.log.write(text if len(text) < 60_000 else text[:20_000] + "\n[…]\n" + text[-40_000:])
            self.log.write(f"[status {status}, {time.monotonic() - begin:.1f} s]\n\n")
            self.log.flush()
        if check and status != 0:
            shown = shlex.join(command[:1] + [word if len(word) < 80 else word[:77] + "..." for word in command[1:]])
            shown = shown.replace(str(self.bin) + "/", "").replace(str(self.work) + "/", "")
            said = next((line for line in reversed(err.strip().splitlines()) if "error" in line.lower()),
                        (err.strip() or out.strip() or "nothing said").splitlines()[-1])
            raise Failed(f"{shown}: {'out of time' if status is None else f'status {status}'}: {said[:300]}")
        return status, out, err

    def mythos(self, *words, check=True, environment=None):
        return self.run([self.bin / "mythos", *words], check=check, environment=environment)

    def together(self, calls, workers=4):
        """Runs functions side by side and returns what each returned or raised."""
        def guarded(call):
            try:
                return call()
            except Failed as fault:
                return fault
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            return list(pool.map(guarded, calls))

    # --- what several steps use: text, shards and small trained models, made once ---
    def data(self):
        folder = self.work / "data"
        if not folder.exists():
            text = self.work / "text.txt"
            parts = sorted([*ROOT.glob("*.md"), *ROOT.glob("man/*"), *ROOT.glob("lib/*/*.cc"), *ROOT.glob("lib/*/*.h")])
            text.write_text("\n\n".join(part.read_text(errors="replace") for part in parts))
            self.mythos("vocab", "--vocab-size", 2048, "--output", self.work / "tok.model", text)
            self.mythos("tokenize", "--tokenizer", self.work / "tok.model", "--output", folder, "--separator", "\\n\\n",
                        "--val-fraction", 0.05, text)
        return folder

    def train(self, name, *words, check=True):
        run = self.work / "runs" / name
        status, _, err = self.mythos("train", "--data", self.data(), "--out", run, "--json", "--set", "log_every=1",
                                     "--set", "val_tokens=4096", *words, check=check)
        return (status, run, err) if not check else run

    def model(self, name, *words):
        """A small model, trained on the CPU so that both devices read the same one."""
        run = self.work / "runs" / name
        if not (run / "latest").exists():
            self.train(name, "--device", "cpu", *words)
        return run


def gtest(m, result, programs, pattern, environment, shards=1):
    """Runs the cases of GoogleTest programs, then those alone that did not pass: one that breaks the device takes
    the later ones of its process with it."""
    def whole(program, shard):
        report = m.work / f"{program}-{shard}.json"
        m.run([m.bin / "tests" / program, f"--gtest_filter={pattern}", f"--gtest_output=json:{report}"],
              {**environment, "GTEST_TOTAL_SHARDS": str(shards), "GTEST_SHARD_INDEX": str(shard)}, check=False)
        cases = {}
        if report.exists():
            for suite in json.loads(report.read_text())["testsuites"]:
                for case in suite["testsuite"]:
                    if case["result"] in ("COMPLETED", "SKIPPED"):
                        good = "skipped" if case["result"] == "SKIPPED" else "failed" if case.get("failures") else "passed"
                        cases[f"{suite['name']}.{case['name']}"] = good
        return program, cases

    def listed(program):
        _, out, _ = m.run([m.bin / "tests" / program, "--gtest_list_tests", f"--gtest_filter={pattern}"], environment)
        suite, names = "", []
        for line in out.splitlines():
            if line.startswith("  "):
                names.append(suite + line.split("#")[0].strip())
            elif line.strip().endswith("."):
                suite = line.strip()
        return names

    def alone(program, name):
        status, out, err = m.run([m.bin / "tests" / program, f"--gtest_filter={name}"], environment, check=False, limit=60)
        why = next((line for line in out.splitlines() if "Failure" in line or "C++ exception" in line), err.strip()[-200:])
        after = out[out.find(why):].splitlines()[1:5] if why in out else []
        return program, name, status, " ".join([why, *after])[:400]

    verdicts = {}
    for program, cases in m.together([lambda p=p, s=s: whole(p, s) for p in programs for s in range(shards)], workers=6):
        verdicts.setdefault(program, {}).update(cases)
    again = []
    for program in programs:
        for name in listed(program):
            if verdicts[program].get(name) != "passed":
                again.append((program, name))
    skipped = [(p, n) for p, n in again if verdicts[p].get(n) == "skipped"]
    again = [pair for pair in again if pair not in skipped]
    for program, name, status, why in m.together([lambda p=p, n=n: alone(p, n) for p, n in again], workers=8):
        verdicts[program][name] = "passed alone" if status == 0 else "failed"
        if status != 0:
            result.faults.append(f"{program} {name}: {'out of time' if status is None else f'status {status}'}: {why}")
    counts = {}
    for cases in verdicts.values():
        for verdict in cases.values():
            counts[verdict] = counts.get(verdict, 0) + 1
    if not sum(counts.values()):
        result.faults.append(f"no case of {', '.join(programs)} matches {pattern}")
    if skipped:
        result.faults.append(f"{len(skipped)} cases were skipped, {skipped[0][1]} the first")
    result.values = {"counts": counts, "cases": verdicts}
    result.summary = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())) or "no cases"
    return result
