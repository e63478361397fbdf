"""The steps of a device run. Each is a function of the machine that returns a Result; its first line says what it shows."""
import hashlib
import importlib.util
import json
import math
import os
import pathlib
import re
import shutil
import sys
import tarfile
import time

from machine import ROOT, Failed, NotNow, Result, gtest

PROGRAMS = ["mythos", "mythos-vocab", "mythos-tokenize", "mythos-train", "mythos-eval", "mythos-generate", "mythos-bench",
            "mythos-presets", "mythos-stability-check", "golden_check"]
TESTS = ["ops_test", "model_test", "infer_test", "train_test", "checkpoint_test", "stability_test"]


def build(m):
    """Configures and builds what the other steps run."""
    result = Result()
    spec = importlib.util.find_spec("torch")
    if not spec or not spec.submodule_search_locations:
        raise Failed(f"{sys.executable} has no torch; run this script with the Python that has it")
    torch = pathlib.Path(spec.submodule_search_locations[0])
    # cmake and ninja may lie beside this Python.
    path = f"{os.environ['PATH']}:{pathlib.Path(sys.executable).parent}"
    environment, options = {"PATH": path}, []
    packed = ROOT / ".device/packed.tar.gz"
    if packed.exists():
        packages = unpack(m, packed)
        lib = packages / "usr/lib/x86_64-linux-gnu"
        environment = {
            "PATH": f"{path}:{packages}/usr/bin",
            "LD_LIBRARY_PATH": f"{lib}:{os.environ.get('LD_LIBRARY_PATH', '')}".rstrip(":"),
            "PKG_CONFIG_SYSROOT_DIR": str(packages), "PKG_CONFIG_LIBDIR": f"{lib}/pkgconfig:{packages}/usr/share/pkgconfig"}
        options = [f"-DCMAKE_PREFIX_PATH={packages}/usr", f"-DPKG_CONFIG_EXECUTABLE={packages}/usr/bin/pkgconf"]
    elif not (ROOT / ".sources").exists():
        raise Failed("no .device/packed.tar.gz; tests/device/pack writes it on a machine where ./bootstrap --tests ran")
    for name in ("cmake", "ninja"):
        if not shutil.which(name, path=environment.get("PATH")):
            raise Failed(f"no {name} on this machine")
    nvcc = m.tool("nvcc")
    if nvcc:
        options += [f"-DCMAKE_CUDA_COMPILER={nvcc}", f"-DCMAKE_CUDA_ARCHITECTURES={m.facts.get('compute_cap', '9.0').replace('.', '')}"]
    elif not m.gpu_missing:
        raise Failed("no nvcc on this machine")
    begin = time.monotonic()
    m.run(["cmake", "-G", "Ninja", "-S", ROOT, "-B", m.build, "-DCMAKE_BUILD_TYPE=Release", "-DMYTHOS_TESTS=ON",
           f"-DTORCH_DIR={torch}", *options], environment)
    configured = time.monotonic()
    targets = PROGRAMS + TESTS + (["mythos_cuda"] if nvcc else [])
    status, out, err = m.run(["cmake", "--build", m.build, "-j", os.cpu_count(), "--target", *targets, "--", "-k", "0"], environment, check=False)
    if status != 0:
        first = next((line for line in out.splitlines() if re.search(r"\berror:|undefined reference", line)), "no line with an error")
        raise Failed(f"{'out of time' if status is None else f'status {status}'}: {first[:300]}")
    version = m.quick([m.bin / "mythos", "--version"])
    m.facts["torch"] = next((line.strip() for line in version.splitlines() if "LibTorch" in line), version.strip())
    m.facts["compiler"] = m.quick(["c++", "--version"]).splitlines()[0]
    result.values = {"configure_seconds": configured - begin, "build_seconds": time.monotonic() - configured,
                     "warnings": out.count("warning:"), "targets": targets, "torch": str(torch)}
    result.summary = f"{result.values['build_seconds']:.0f} s on {os.cpu_count()} cores, {result.values['warnings']} warnings"
    return result


def unpack(m, packed):
    """The packed files in build-device/packed, unpacked anew when the archive is another one."""
    folder = m.build / "packed"
    digest = hashlib.sha256(packed.read_bytes()).hexdigest()
    stamp = folder / "digest"
    if not stamp.exists() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with tarfile.open(packed) as archive:
            archive.extractall(folder, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(folder)
        for program in (folder / "packages/usr/bin").iterdir():
            program.chmod(0o755)
        stamp.write_text(digest)
    sources = ROOT / ".sources"
    if not sources.exists():
        sources.unlink(missing_ok=True)
        sources.symlink_to(folder / "sources")
    if m.facts["commit"].startswith("unknown"):
        m.facts["commit"] = (folder / "commit").read_text().strip()[:10] + " (when packed)"
    return folder / "packages"


def case_pattern(m):
    return "*cpu*" if m.rehearse else "*cuda*"


def device_environment(m):
    return {"OMP_NUM_THREADS": "4", **({} if m.rehearse else {"MYTHOS_TEST_CUDA": "1"})}


def kernels(m):
    """The kernels' tests on the device, each launch waited for."""
    return gtest(m, Result(), ["ops_test"], case_pattern(m), {**device_environment(m), "CUDA_LAUNCH_BLOCKING": "1"}, shards=4)


def models(m):
    """The tests of model, decoder, training, checkpoints and stability on the device."""
    return gtest(m, Result(), [name for name in TESTS if name != "ops_test"], case_pattern(m), device_environment(m))


def golden(m):
    """The openmythos-compat model beside the reference's outputs: logits, decoding, loss, gradients."""
    result = Result()
    status, out, _ = m.run([m.bin / "golden_check", ROOT / "tests/golden/openmythos", "--device", m.device], check=False)
    result.summary = (out.strip().splitlines() or ["nothing printed"])[-1]
    result.faults = [line for line in out.splitlines() if line.endswith("FAIL")]
    if status != 0 and not result.faults:
        result.faults.append(f"status {status}")
    return result


def sanitizer(m):
    """compute-sanitizer over tests of the project's own kernels: bad addresses (memcheck), races (racecheck)."""
    result = Result()
    tool = m.tool("compute-sanitizer")
    if m.rehearse:
        raise NotNow("compute-sanitizer needs a GPU")
    if not tool:
        raise NotNow("no compute-sanitizer on this machine")
    chosen = ":".join(f"*/Kernels.{name}/cuda_*" for name in (
        "RmsNorm", "AddRmsNorm", "SwiGlu", "Rope", "Inject", "HaltingSteps", "CrossEntropy", "Moe"))

    def check(kind):
        return m.run([tool, "--tool", kind, "--error-exitcode", "9", "--report-api-errors", "no", "--print-limit", "20",
                      m.bin / "tests/ops_test", f"--gtest_filter={chosen}"], device_environment(m), check=False)

    rows = []
    for kind, answer in zip(("memcheck", "racecheck"), m.together([lambda k=k: check(k) for k in ("memcheck", "racecheck")])):
        status, out, err = answer
        said = [line.strip("= ") for line in (out + err).splitlines() if line.startswith("=========")]
        last = next((line for line in reversed(said) if "SUMMARY" in line), said[-1] if said else "nothing said")
        rows.append((kind, status, last))
        if status is None:
            result.faults.append(f"{kind}: out of time; so far: {last}")
        elif status != 0:
            result.faults.append(f"{kind}: status {status}: {(said or ['nothing said'])[0]}; {last}")
    result.table(["tool", "status", "it said"], rows)
    result.summary = "; ".join(f"{kind}: {last}" for kind, _, last in rows)
    return result


def small(m):
    """What keeps a rehearsal short: a CPU multiplies in fp16 without haste."""
    return ["--batch-size", 1, "--seq-len", 32] if m.rehearse else []


def losses(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def curves(m):
    """Losses of 'tiny' over 50 steps, CPU beside the device, in each compute type; then other kinds of models."""
    result = Result()
    steps = 10 if m.rehearse else 50
    m.data()
    preset = ["--preset", "tiny", "--steps", steps, "--set", "warmup_steps=5", *small(m)]
    kinds = [("cpu fp32", "cpu", "fp32")] + [(f"{m.device} {kind}", m.device, kind) for kind in ("fp32", "bf16", "fp16")]
    others = {
        "gpt-nano": ["--preset", "gpt-nano"], "huginn-nano": ["--preset", "huginn-nano"], "parcae-nano": ["--preset", "parcae-nano"],
        "tiny, act": ["--preset", "tiny", "--set", "halting=act", "--set", "ponder_cost=0.01"],
        "tiny, recompute": ["--preset", "tiny", "--recompute", "block"],
        "tiny, best-fit": ["--preset", "tiny", "--set", "packing=best-fit"]}
    calls = [lambda n=i, d=d, k=k: m.train(f"curve-{n}", *preset, "--device", d, "--set", f"compute_type={k}",
                                           "--threads", 4) for i, (_, d, k) in enumerate(kinds)]
    few = ["--steps", 3 if m.rehearse else 8, *(small(m) or ["--batch-size", 2]), "--set", "warmup_steps=2", "--set", "compute_type=fp32", "--threads", 4]
    for words in others.values():
        for device in ("cpu", m.device):
            calls.append(lambda n=len(calls), w=words, d=device: m.train(f"curve-{n}", *w, *few, "--device", d))
    runs = m.together(calls, workers=4 if not m.rehearse else 2)
    rows, base = [], None
    for (name, _, kind), run in zip(kinds, runs):
        if isinstance(run, Failed):
            rows.append((name, "-", "-", "-", str(run)))
            result.faults.append(f"{name}: {run}")
            continue
        curve = losses(run)
        if base is None:
            base = curve
        apart = max((abs(a / b - 1) for a, b in zip(curve, base)), default=math.inf)
        mean = lambda values: sum(values[-10:]) / len(values[-10:])
        ratio = mean(curve) / mean(base)
        rows.append((name, f"{curve[0]:.4f}", f"{mean(curve):.4f}", f"{ratio - 1:+.2%}", f"{apart:.2e} at most apart"))
        result.values[name] = curve
        # The same numbers in another order of summing: steps of training spread them, so the limit is wide.
        if len(curve) != len(base) or not abs(ratio - 1) <= (0.01 if kind == "fp32" else 0.03):
            result.faults.append(f"{name}: {len(curve)} steps, its last ten {ratio - 1:+.2%} beside the CPU's in fp32")
        if kind == "fp32" and not abs(curve[0] / base[0] - 1) <= 1e-4:
            result.faults.append(f"{name}: first loss {curve[0]}, on the CPU {base[0]}")
    result.table(["tiny", "first loss", "mean of the last ten", "beside the CPU", ""], rows)
    rows = []
    pairs = runs[len(kinds):]
    for name, cpu, device in zip(others, pairs[::2], pairs[1::2]):
        fault = next((run for run in (cpu, device) if isinstance(run, Failed)), None)
        if fault:
            rows.append((name, str(fault)))
            result.faults.append(f"{name}: {fault}")
            continue
        a, b = losses(cpu), losses(device)
        apart = max((abs(x / y - 1) for x, y in zip(a, b)), default=math.inf)
        rows.append((name, f"{apart:.2e} at most apart over {len(a)} steps"))
        if len(a) != len(b) or not apart <= 5e-3:
            result.faults.append(f"{name}: {apart:.2e} apart")
    result.table(["model, fp32", "losses of CPU and device"], rows)
    result.summary = f"{len(kinds) + len(others) - len(result.faults)} of {len(kinds) + len(others)} as on the CPU"
    return result


def resume(m):
    """A run that stops half-way and goes on ends as one that does not, bit for bit."""
    result = Result()
    half, whole = (3, 6) if m.rehearse else (10, 20)
    words = ["--preset", "tiny", *small(m), "--device", m.device, "--deterministic", "--set", "schedule=constant", "--set", "warmup_steps=2",
             "--threads", 4]
    for kind in ("fp32", "bf16", "fp16"):
        kept = ["--set", f"compute_type={kind}"]
        try:
            straight = m.train(f"straight-{kind}", *words, *kept, "--steps", whole)
            m.train(f"stopped-{kind}", *words, *kept, "--steps", half)
            stopped = m.train(f"stopped-{kind}", *words, *kept, "--steps", whole, "--resume")
        except Failed as fault:
            result.faults.append(f"{kind}: {fault}")
            continue
        a, b = losses(straight), losses(stopped)
        equal = a == b
        result.values[kind] = {"equal": equal, "straight": a, "stopped": b}
        if not equal:
            first = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            result.faults.append(f"{kind}: losses differ from step {first + 1} on ({len(a)} and {len(b)} steps)")
    result.summary = ", ".join(f"{kind} {'equal' if value['equal'] else 'differs'}" for kind, value in result.values.items())
    return result


def generate(m):
    """Text at temperature 0 in every mode, equal on the CPU and the device; evaluation and stability beside the CPU."""
    result = Result()
    steps = ["--steps", 20 if m.rehearse else 60, "--set", "warmup_steps=5", "--threads", 8]
    lti, act, gqa = m.together([lambda: m.model("lti", "--preset", "tiny", *steps),
                                lambda: m.model("act", "--preset", "tiny", "--set", "halting=act", *steps),
                                lambda: m.model("gqa", "--preset", "gpt-nano", "--batch-size", 2, *steps)] if m.data() else [])
    prompts = m.work / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in
                               ("The loss", "A checkpoint that", "", "struct Options {", "What is measured")))
    long = " ".join(["The run goes on from the newest checkpoint and says so in one line."] * 6)
    text = ["--prompt", "The loss of a step"]
    modes = {
        "one loop": (lti, "--loops", 1, *text), "trained loops": (lti, "--loops", 4, *text), "more loops": (lti, "--loops", 9, *text),
        "latent exit": (lti, "--loops", "auto", "--exit", "latent", *text), "kl exit": (lti, "--loops", "auto", "--exit", "kl", *text),
        "drafts": (lti, "--loops", 4, "--draft-loops", 1, *text), "long prompt": (lti, "--prompt-file", m.work / "long.txt"),
        "prompt in chunks": (lti, "--prefill-chunk", 7, "--prompt-file", m.work / "long.txt"),
        "cache bf16": (lti, "--cache-type", "bf16", *text), "cache int8": (lti, "--cache-type", "int8", *text),
        "cache of the last loop": (lti, "--cache-sharing", "last", *text), "cache averaged": (lti, "--cache-sharing", "average", *text),
        "weights int8": (lti, "--weights", "int8", *text), "weights int4": (lti, "--weights", "int4", *text),
        "batch of prompts": (lti, "--jsonl", prompts), "act": (act, *text), "act, auto": (act, "--loops", "auto", *text),
        "act, drafts": (act, "--draft-loops", 1, *text), "plain gqa": (gqa, *text), "plain gqa in chunks": (gqa, "--prefill-chunk", 7, "--prompt-file", m.work / "long.txt")}
    (m.work / "long.txt").write_text(long)

    def both(mode):
        model, *words = mode
        if isinstance(model, Failed):
            return None, None, str(model)
        common = ["generate", "--checkpoint", model, "--dtype", "fp32", "--temperature", 0, "--max-tokens", 24, "--threads", 2, *words]
        cpu = m.mythos(*common, "--device", "cpu", check=False)
        device = m.mythos(*common, "--device", m.device, check=False)
        return cpu, device, None

    rows, equal = [], 0
    for name, (cpu, device, fault) in zip(modes, m.together([lambda x=x: both(x) for x in modes.values()], workers=4)):
        texts = lambda answer: [{k: v for k, v in json.loads(line).items() if k in ("text", "prompt", "error")} if line.startswith("{") else line
                                for line in answer[1].splitlines()]
        if fault:
            verdict = fault
        elif cpu[0] == 0 and device[0] == 0:
            verdict = "equal" if texts(cpu) == texts(device) else "DIFFERS"
        elif device[0] == 2:
            verdict = "refused: " + (device[2].strip().splitlines() or ["nothing said"])[-1][:200]
        else:
            verdict = f"status {cpu[0]} on the CPU, {device[0]}: {(device[2].strip().splitlines() or ['nothing said'])[-1][:200]}"
        rows.append((name, verdict))
        equal += verdict == "equal"
        result.values[name] = verdict
        if verdict != "equal" and not verdict.startswith("refused"):
            result.faults.append(f"{name}: {verdict}")
    result.table(["mode", "CPU and device"], rows)

    def evaluated(device, kind):
        _, out, _ = m.mythos("eval", "--checkpoint", lti, "--data", m.data(), "--loops", "1,2,4,8", "--max-tokens", 8192, "--json",
                             "--dtype", kind, "--device", device, "--threads", 4)
        return [row["bits_per_byte"] for row in json.loads(out)["loops"]]

    def stable(device):
        status, out, _ = m.mythos("stability-check", lti, "--data", m.data(), "--device", device, "--threads", 4, check=False)
        return status, (out.strip().splitlines() or ["nothing printed"])[-1]

    cpu, fp32, bf16, a, b = m.together([lambda: evaluated("cpu", "fp32"), lambda: evaluated(m.device, "fp32"),
                                        lambda: evaluated(m.device, "bf16"), lambda: stable("cpu"), lambda: stable(m.device)])
    for name, values, limit in (("eval fp32", fp32, 2e-4), ("eval bf16", bf16, 2e-2)):
        if isinstance(cpu, Failed) or isinstance(values, Failed):
            result.faults.append(f"{name}: {cpu if isinstance(cpu, Failed) else values}")
        else:
            apart = max(abs(x / y - 1) for x, y in zip(values, cpu))
            result.lines.append(f"{name}: bits per byte {', '.join(f'{x:.4f}' for x in values)} at 1, 2, 4, 8 loops, {apart:.1e} from the CPU's\n")
            if not apart <= limit:
                result.faults.append(f"{name}: {apart:.1e} from the CPU's bits per byte")
    result.lines.append(f"stability: CPU {a}; device {b}\n")
    if isinstance(a, Failed) or isinstance(b, Failed) or a[0] != b[0]:
        result.faults.append(f"stability-check: {a} on the CPU, {b} on the device")
    result.summary = f"{equal} of {len(modes)} modes equal, {sum(v.startswith('refused') for v in result.values.values())} refused by name"
    return result


def bench_rows(m):
    if m.rehearse:
        small = ["--preset", "tiny", "--repeat", 1, "--warmup", 0]
        return {"tiny train": ["train", *small, "--batch-size", 2, "--seq-len", 32], "tiny prefill": ["prefill", *small, "--seq-len", 32],
                "tiny decode": ["decode", *small, "--context", 16, "--tokens", 4]}
    return {
        "mythos-1b train 4x2048, 8 loops": ["train", "--preset", "mythos-1b", "--loops", 8, "--batch-size", 4, "--seq-len", 2048, "--repeat", 3],
        "mythos-1b decode at 512, 8 loops": ["decode", "--preset", "mythos-1b", "--loops", 8, "--context", 512, "--tokens", 32, "--repeat", 3],
        "mythos-1b prefill 2048, 8 loops": ["prefill", "--preset", "mythos-1b", "--loops", 8, "--seq-len", 2048, "--repeat", 3],
        "nano train 32x512": ["train", "--preset", "nano", "--batch-size", 32, "--seq-len", 512, "--repeat", 5],
        "nano decode at 128": ["decode", "--preset", "nano", "--context", 128, "--tokens", 32, "--repeat", 5],
        "nano prefill 512": ["prefill", "--preset", "nano", "--seq-len", 512, "--repeat", 5],
        "gpt-nano decode at 128": ["decode", "--preset", "gpt-nano", "--context", 128, "--tokens", 32, "--repeat", 5],
        "mythos-1b decode, batch 8": ["decode", "--preset", "mythos-1b", "--loops", 8, "--context", 512, "--tokens", 16, "--batch-size", 8, "--repeat", 3]}


def bench(m):
    """Speed of training, prefill and decoding, beside the peaks of matrix products and memory of the same process."""
    result, rows = Result(), []
    for name, words in bench_rows(m).items():
        try:
            _, out, _ = m.mythos("bench", *words, "--dtype", "bf16", "--device", m.device, "--json", "--threads", os.cpu_count())
        except Failed as fault:
            result.faults.append(f"{name}: {fault}")
            rows.append((name, "-", "-", "-", "-", str(fault)[:200]))
            if m.left() <= 1:
                break
            continue
        answer = json.loads(out)
        first = answer["measurements"][0]
        value = lambda key: first["values"].get(key)
        share = lambda key: "-" if value(key) is None else f"{value(key):.1%}"
        memory = answer["facts"].get("peak_memory_bytes")
        rows.append((name, f"{first['per_second']['tokens']:,.0f}", f"{first['per_second'].get('flops', 0) / 1e12:,.2f}", share("gemm_share"),
                     share("copy_share"), "-" if memory is None else f"{memory / 2**30:.2f} GiB"))
        result.values[name] = answer
    result.table(["shape, bf16", "tokens/s", "TFLOP/s", "of the GEMM peak", "of the copy's bandwidth", "memory"], rows)
    result.summary = f"{len(result.values)} of {len(bench_rows(m))} shapes measured"
    return result


def peers(m):
    """Shapes of open-mythos on the same device, in turns with ours."""
    result = Result()
    packed = ROOT / ".device/packed.tar.gz"
    wheels = sorted(unpack(m, packed).parent.glob("wheels/open_mythos-*.whl")) if packed.exists() else []
    if not wheels:
        raise NotNow("no wheel of open-mythos was packed (tests/device/pack)")
    rows = "nano-decode-128" if m.rehearse else "1b-decode,1b-train,nano-train,nano-decode-128,1b-prefill"
    status, out, err = m.run(
        [sys.executable, ROOT / "tests/bench/compare_peers.py", "--bin", m.bin, "--python", sys.executable, "--rows", rows, "--device", m.device,
         "--rounds", 1 if m.rehearse else 2, "--repeat", 3, "--types", "bf16", "--threads", 2 if m.rehearse else 8],
        {"PYTHONPATH": f"{wheels[-1]}:{os.environ.get('PYTHONPATH', '')}".rstrip(":"), "PYTHONUNBUFFERED": "1"}, check=False)
    table = [line for line in out.splitlines() if line.startswith("|")]
    result.lines += table
    result.values = {"table": table}
    if status != 0:
        result.faults.append(f"{'out of time' if status is None else f'status {status}'}: {(err.strip().splitlines() or ['nothing said'])[-1][:300]}")
    result.summary = f"{max(0, len(table) - 2)} rows compared"
    return result


def profile(m):
    """Where the time of a training step and of a decode step goes."""
    result = Result()
    shapes = {
        "training step": ["train", "--preset", "tiny", "--batch-size", 2, "--seq-len", 32] if m.rehearse else
                         ["train", "--preset", "mythos-1b", "--loops", 8, "--batch-size", 4, "--seq-len", 2048],
        "decode step": ["decode", "--preset", "tiny", "--context", 16, "--tokens", 2] if m.rehearse else
                       ["decode", "--preset", "mythos-1b", "--loops", 8, "--context", 512, "--tokens", 8]}
    for name, words in shapes.items():
        try:
            _, out, _ = m.mythos("bench", *words, "--dtype", "bf16", "--device", m.device, "--repeat", 2, "--profile", "--json", "--threads", os.cpu_count())
        except Failed as fault:
            result.faults.append(f"{name}: {fault}")
            continue
        measured = json.loads(out)["measurements"]
        result.values[name] = measured
        result.lines.append(f"{name}:\n")
        result.table(["operator", "calls", "ms", "share"], [
            (row["name"], f"{row['values'].get('calls', 0):.0f}", f"{row['median_seconds'] * 1e3:.3f}", f"{row['values'].get('time_share', 0):.1%}")
            for row in measured[:16]])
        if not any("backward" in row["name"].lower() for row in measured) and name == "training step":
            result.faults.append("no operator of the backward pass was recorded")
    result.summary = ", ".join(f"{name}: {len(rows)} operators" for name, rows in result.values.items())
    return result


# In order of worth: function, seconds at most, whether it needs a GPU.
STEPS = [
    (build, 240, False), (kernels, 75, True), (models, 75, True), (golden, 20, True), (sanitizer, 75, True), (curves, 60, True),
    (resume, 30, True), (generate, 60, True), (bench, 100, True), (peers, 80, True), (profile, 40, True)]
