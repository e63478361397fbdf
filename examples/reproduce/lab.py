"""What the scripts of this folder share: options, commands whose results are kept, tables, plots.

Standard library only. Everything goes to --out; a command that is there already is not run again, so a script
that was stopped goes on where it was."""
import argparse
import hashlib
import json
import math
import os
import pathlib
import re
import shlex
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]
DIVERGED = 5  # exit status of 'mythos train'
COLOURS = ["#1b6ca8", "#d1495b", "#3a8f5c", "#edae49", "#7a5195", "#555555", "#00a6a6", "#9c6644"]


class Lab:
    """One experiment: its options, its folder, and the programs."""

    def __init__(self, name, description, options=()):
        parser = argparse.ArgumentParser(description=description,
                                         formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--out", type=pathlib.Path, help=f"folder of results (default reproduce-out/{name})")
        parser.add_argument("--build", type=pathlib.Path, default=SOURCE / "build", help="where bin/mythos lies")
        parser.add_argument("--seeds", type=int, default=1, metavar="N", help="repeat with seeds 1 to N (default 1)")
        parser.add_argument("--steps", type=int, help="optimizer steps of each run instead of the size's own")
        parser.add_argument("--paper", action="store_true", help="sizes nearer to those of the papers; wants a GPU")
        parser.add_argument("--smoke", action="store_true", help="sizes that show only that the script works")
        parser.add_argument("--device", help="auto, cpu or cuda")
        parser.add_argument("--text", nargs="+", type=pathlib.Path, help="text files, where text is trained on")
        for words, keywords in options:
            parser.add_argument(*words, **keywords)
        self.args = parser.parse_args()
        self.name = name
        self.out = self.args.out or pathlib.Path("reproduce-out") / name
        self.out.mkdir(parents=True, exist_ok=True)
        self.program = self.args.build / "bin" / "mythos"
        if not self.program.exists():
            parser.error(f"no {self.program}; build first, or name --build")
        self.device = ["--device", self.args.device] if self.args.device else []
        self.seeds = range(1, self.args.seeds + 1)
        print(f"{description.strip().splitlines()[0]}\n")

    def pick(self, smoke, default, paper):
        """One of three sizes."""
        return smoke if self.args.smoke else paper if self.args.paper else default

    def steps(self, smoke, default, paper):
        return self.args.steps or self.pick(smoke, default, paper)

    # Commands

    def mythos(self, *words, allow=()):
        """Runs a verb and returns (status, standard output); shows the command. Other statuses than 0 and those of
        `allow` end the script."""
        command = [str(word) for word in words]
        print("$ mythos " + shlex.join(command), file=sys.stderr, flush=True)
        done = subprocess.run([self.program, *command], stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.PIPE if self.args.smoke else None)
        if done.returncode != 0 and done.returncode not in allow:
            sys.exit(f"mythos {command[0]} ended with status {done.returncode}\n{done.stderr or ''}")
        return done.returncode, done.stdout

    def json(self, *words):
        """The JSON that a verb prints, from the folder of results if the same command ran before, of the same run."""
        runs = [done_file(word) for word in words if isinstance(word, pathlib.Path)]
        texts = [path.read_text() for path in runs if path.exists()]
        key = hashlib.sha256("\0".join([*map(str, words), *texts]).encode()).hexdigest()[:16]
        kept = self.out / "results" / f"{words[0]}-{key}.json"
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            self.write(kept, self.mythos(*words, "--json", "--quiet")[1])
        return json.loads(kept.read_text())

    def write(self, path, text):
        """Writes a file whole or not at all."""
        new = path.with_name(path.name + ".new")
        new.write_text(text)
        os.replace(new, path)
        return path

    # Data

    def characters(self):
        """The tokenizer of the tasks."""
        path = self.out / "characters.json"
        if not path.exists():
            self.mythos("synth", "tokenizer", "--out", path)
        return path

    def rows(self, task, count, seed, *options):
        """A file of rows of a task. Seeds of tests begin at 1,000,000, so that they are not those of training."""
        words = ["synth", task, "--count", count, "--seed", seed, *options]
        key = hashlib.sha256("\0".join(map(str, words)).encode()).hexdigest()[:10]
        path = self.out / f"{task}-{key}.jsonl"
        if not path.exists():
            self.mythos(*words, "--out", path)
        return path

    def task_data(self, task, count, seed, *options, eos=True):
        """Shards of such rows, of which the answers alone count. Without `eos` an answer's end need not be told."""
        rows = self.rows(task, count, seed, *options)
        data = rows.with_suffix(".data")
        if not data.exists():
            self.mythos("tokenize", "--tokenizer", self.characters(), "--rows", "completion", "--val-fraction", "0.01",
                        "--output", data, *([] if eos else ["--no-eos"]), rows)
        return data

    def graded_data(self, task, count, easy, whole, *options, eos=True):
        """Easy rows and rows of all difficulties, as two shards that are drawn from alike."""
        return [self.task_data(task, count, seed, "--difficulty", difficulty, *options, eos=eos)
                for seed, difficulty in ((1, easy), (2, whole))]

    def text_files(self):
        if self.args.text:
            return self.args.text
        fortunes = pathlib.Path("/usr/share/games/fortunes")
        files = [path for path in sorted(fortunes.glob("*")) if path.is_file() and path.suffix != ".dat"]
        if files and not self.args.smoke:
            return files
        return sorted(SOURCE.glob("*.md")) + sorted((SOURCE / "man").glob("*.1"))

    def text_data(self):
        """Shards of text and the size of their vocabulary."""
        size = self.pick(512, 2048, 8192)
        tokenizer, data = self.out / f"text-{size}.model", self.out / f"text-{size}"
        if not tokenizer.exists():
            self.mythos("vocab", "--vocab-size", size, "--output", tokenizer, *self.text_files())
        if not data.exists():
            self.mythos("tokenize", "--tokenizer", tokenizer, "--output", data, "--separator", r"\n\n",
                        "--val-fraction", "0.05", *self.text_files())
        return data, size

    # Training and measuring

    def config(self, name, model, train, objectives=None):
        """A configuration file over the preset nano."""
        lines = ['extends = "nano"']
        for table, values in (("model", model), ("train", train), ("objectives", objectives or {})):
            lines += ["", f"[{table}]"] + [f"{key} = {toml(value)}" for key, value in values.items()]
        return self.write(self.out / f"{name}.toml", "\n".join(lines) + "\n")

    def train(self, name, config, data, seed, *options):
        """The run of a configuration; None if it diverged. Of several shards each gives as many sequences."""
        sources = [f"{source}:1" for source in data] if isinstance(data, list) else [data]
        named = [word for source in sources for word in ("--data", source)]
        run = self.out / f"{name}-seed{seed}"
        text = config.read_text() + shlex.join(map(str, [*sources, *options]))
        key = hashlib.sha256(text.encode()).hexdigest()
        done = done_file(run)
        if not done.exists() or done.read_text().split()[0] != key:
            status, _ = self.mythos("train", "--config", config, *named, "--out", run, "--overwrite", "--quiet",
                                    "--set", f"seed={seed}", *options, *self.device, allow=[DIVERGED])
            self.write(done, f"{key} {'diverged' if status == DIVERGED else 'whole'}\n")
        return None if done.read_text().split()[1] == "diverged" else run

    def score(self, run, rows, loops, *options):
        """Exact match as {difficulty: {loops: share}}; the difficulty None is all rows. Also the whole report."""
        report = self.json("eval", "--checkpoint", run, "--tasks", rows, "--loops", ",".join(map(str, loops)),
                           *options, *self.device)
        shares = {None: {row["loops"]: row["accuracy"] for row in report["loops"]}}
        for row in report["difficulties"]:
            shares[row["difficulty"]] = {at["loops"]: at["accuracy"] for at in row["loops"]}
        return shares, report

    def likelihood(self, run, data, loops, *options):
        """{loops: row} of 'mythos eval' on the validation split."""
        report = self.json("eval", "--checkpoint", run, "--data", data, "--loops", ",".join(map(str, loops)),
                           *options, *self.device)
        return {row["loops"]: row for row in report["loops"]}

    # Results

    def table(self, title, header, rows):
        """Prints a table and keeps it as Markdown."""
        cells = [[str(cell) for cell in row] for row in [header, *rows]]
        widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
        text = "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells)
        print(f"\n{title}\n{text}", flush=True)
        lines = [f"**{title}**", "", "| " + " | ".join(cells[0]) + " |", "|" + "---|" * len(header)]
        lines += ["| " + " | ".join(row) + " |" for row in cells[1:]]
        self.write(self.out / f"{file_name(title)[:60]}.md", "\n".join(lines) + "\n")

    def plot(self, file, title, x_label, y_label, series, log_x=False):
        """An SVG of lines: series is {name: [(x, y), ...]}; points that are not finite are left out."""
        path = self.write(self.out / f"{file}.svg", svg(title, x_label, y_label, series, log_x))
        print(f"\nplot: {path}", flush=True)


def file_name(title):
    """A title in small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def done_file(run):
    """What says of which command a run is, and that it has ended."""
    return run.with_name(run.name + ".done")


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def measured(values, digits, unit=""):
    """The mean of values, with the range where there are several; "diverged" where there is none."""
    if not values:
        return "diverged"
    spread = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{unit}{spread}"


def percent(values):
    """The mean of shares in percent, with the range where there are several."""
    values = [100 * value for value in values]
    return measured(values, 1, "%")


def ticks(low, high, log):
    if log:
        return [2.0 ** e for e in range(math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9) + 1)]
    step = 10 ** math.floor(math.log10(high - low))
    step *= next(m for m in (0.1, 0.2, 0.5, 1, 2) if (high - low) / (step * m) <= 6)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def svg(title, x_label, y_label, series, log_x=False):
    kept = {name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
            for name, points in series.items()}
    points = [point for line in kept.values() for point in line] or [(1, 0)]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    low, high = min(ys), max(ys)
    margin = (high - low or 1) * 0.05
    low, high = low - margin, high + margin
    left, right = (min(xs), max(xs)) if max(xs) > min(xs) else (min(xs) * 0.9, max(xs) * 1.1)
    scale = (lambda x: math.log2(x)) if log_x else (lambda x: x)
    width, height, x0, y0, plot_w, plot_h = 720, 420, 70, 40, 460, 310

    def place(x, y):
        return (x0 + plot_w * (scale(x) - scale(left)) / (scale(right) - scale(left)),
                y0 + plot_h * (high - y) / (high - low))

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
           'font-family="sans-serif" font-size="12">', f'<rect width="{width}" height="{height}" fill="white"/>',
           f'<text x="{x0}" y="24" font-size="15">{escape(title)}</text>']
    for tick in ticks(left, right, log_x):
        x, _ = place(tick, low)
        out.append(f'<path d="M{x:.1f} {y0}V{y0 + plot_h}" stroke="#eee"/>'
                   f'<text x="{x:.1f}" y="{y0 + plot_h + 18}" text-anchor="middle">{tick:g}</text>')
    for tick in ticks(low, high, False):
        _, y = place(left, tick)
        out.append(f'<path d="M{x0} {y:.1f}H{x0 + plot_w}" stroke="#eee"/>'
                   f'<text x="{x0 - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    out.append(f'<rect x="{x0}" y="{y0}" width="{plot_w}" height="{plot_h}" fill="none" stroke="#999"/>')
    for i, (name, line) in enumerate(kept.items()):
        colour = COLOURS[i % len(COLOURS)]
        at = [place(x, y) for x, y in sorted(line)]
        if len(at) > 1:
            out.append('<polyline fill="none" stroke-width="2" stroke="' + colour + '" points="' +
                       " ".join(f"{x:.1f},{y:.1f}" for x, y in at) + '"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in at]
        y = y0 + 12 + 18 * i
        out.append(f'<rect x="{x0 + plot_w + 12}" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
                   f'<text x="{x0 + plot_w + 28}" y="{y}">{escape(name)}</text>')
    out.append(f'<text x="{x0 + plot_w / 2}" y="{height - 20}" text-anchor="middle">{escape(x_label)}</text>')
    out.append(f'<text transform="translate(18 {y0 + plot_h / 2}) rotate(-90)" text-anchor="middle">'
               f'{escape(y_label)}</text>')
    return "\n".join(out + ["</svg>"]) + "\n"


def escape(text):
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# A small transformer for the tasks: vocabulary of characters, multi-head attention, dense feed-forward. Biases of
# queries and keys, and a short base of the rotation, let a head look a fixed number of characters back.
TASK_MODEL = dict(vocab_size=97, max_seq_len=512, attention="gqa", attention_bias="qk", qk_norm=True, rope_theta=100,
                  ffn="dense", prelude_layers=0, coda_layers=0, core_layers=1, injection="none", prelude_norm=True,
                  residual_init="normal", loop_embedding="none", lora_rank=0)


def task_model(width, heads, **changes):
    return {**TASK_MODEL, "dim": width, "n_heads": heads, "n_kv_heads": heads, "ffn_dim": 4 * width,
            "init_std": round(0.8 / math.sqrt(width), 3), **changes}


def task_training(steps, batch_size, seq_len, lr, **changes):
    return {**dict(steps=steps, batch_size=batch_size, seq_len=seq_len, lr=lr, packing="best-fit", optimizer="muon",
                   warmup_steps=min(200, steps // 10), weight_decay=0.01, val_every=0, val_tokens=4096, save_every=0,
                   log_every=max(1, steps // 20), keep_last=1, loop_sampling="fixed", backprop_loops=0), **changes}


# Objectives of a looped model on tasks: each loop answers what it can by then, and more loops than in training leave a
# result as it is.
LOOP_OBJECTIVES = dict(next_token=0.0, per_loop=1.0, fixed_point=0.1)


# A small transformer for text: one layer before the loop, one in it and one behind it.
TEXT_MODEL = dict(attention="gqa", qk_norm=True, ffn="dense", injection="lti", initial_state="zero",
                  residual_init="scaled", loop_embedding="none", lora_rank=0)


def text_model(vocabulary, width, heads, loops, **changes):
    return {**TEXT_MODEL, "vocab_size": vocabulary, "dim": width, "n_heads": heads, "n_kv_heads": heads,
            "ffn_dim": 4 * width, "max_loop_iters": loops, **changes}


def text_training(steps, batch_size, seq_len, lr, **changes):
    return {**dict(steps=steps, batch_size=batch_size, seq_len=seq_len, optimizer="muon", lr=lr, muon_lr=lr,
                   warmup_steps=steps // 20, val_every=0, val_tokens=4096, save_every=0, keep_last=1,
                   loop_sampling="fixed", backprop_loops=0), **changes}
