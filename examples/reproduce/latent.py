#!/usr/bin/env python3
"""Latent thoughts in place of a written chain of thought, taught by stages.

The claim (Hao et al. 2024, COCONUT, arXiv 2412.06769): a model that feeds its last hidden state back as the next input,
and has been taught so stage by stage, answers more problems than one without any steps between question and answer; on
arithmetic a written chain of thought stays ahead.

A stage's rows have the first k steps of the chain replaced by k times C latent tokens ('~', model.latent_token), which
stand at the end of the prompt, so that nothing is predicted at them:

  stage 0  2-3+1*4=    40,0     the running results modulo 5, and the answer
  stage 1  2-3+1*4=~   0,0
  stage 2  2-3+1*4=~~  ,0
"""
import json
import re

from lab import Lab, mean, percent, task_model, task_training

LATENT, LATENT_ID = "~", 96  # of 'mythos synth tokenizer'
MODULUS = 5


def chain(prompt):
    """The running results of a row of 'mythos synth modular', without the last, which is the answer."""
    numbers, signs = re.findall(r"\d+", prompt), re.findall(r"[-+*]", prompt)
    value, steps = int(numbers[0]), []
    for sign, number in zip(signs, map(int, numbers[1:])):
        value = {"+": value + number, "-": value - number, "*": value * number}[sign] % MODULUS
        steps.append(str(value))
    return steps


def stage_row(row, stage, per_step):
    steps = chain(row["prompt"])
    assert steps.pop() == row["completion"], row
    return {**row, "prompt": row["prompt"] + LATENT * (stage * per_step),
            "completion": "".join(steps[stage:]) + "," + row["completion"]}


def stage_rows(lab, rows, stage, per_step, direct=False):
    """A file of the rows of a stage; with `direct` the answer follows the question at once."""
    path = rows.with_name(f"{rows.stem}-{'direct' if direct else f'stage{stage}x{per_step}'}.jsonl")
    if not path.exists():
        made = []
        for line in rows.read_text().splitlines():
            row = json.loads(line)
            row = {**row, "completion": "," + row["completion"]} if direct else stage_row(row, stage, per_step)
            made.append(json.dumps(row) + "\n")
        lab.write(path, "".join(made))
    return path


def shards(lab, rows):
    data = rows.with_suffix(".data")
    if not data.exists():
        lab.mythos("tokenize", "--tokenizer", lab.characters(), "--rows", "completion", "--val-fraction", "0.01",
                   "--output", data, rows)
    return data


def main():
    lab = Lab("latent", __doc__, [(["--per-step"], dict(type=int, default=1, metavar="C",
                                                        help="latent thoughts for each step (default 1)"))])
    per_step = lab.args.per_step
    operations = lab.pick(3, 5, 6)
    stages = range(operations)  # the last one has no written step
    width, heads = lab.pick((16, 2), (64, 4), (256, 8))
    steps = lab.steps(3, 1000, 10_000)  # of a stage
    loops = lab.pick(1, 1, 4)
    model = task_model(width, heads, prelude_layers=1, coda_layers=1, max_loop_iters=loops, latent_token=LATENT_ID)
    training = task_training(steps, lab.pick(2, 16, 64), lab.pick(32, 128, 256), lab.pick(3e-3, 3e-3, 1e-3),
                             muon_lr=5e-3)  # at 2e-2 stages of two thoughts and more fall back to chance
    staged = lab.config("stage", model, training)
    # Without stages, the steps of all of them together.
    whole = lab.config("whole", model, {**training, "steps": steps * len(stages)})
    count = lab.pick(200, 20_000, 300_000)
    difficulty = ("--difficulty", operations, "--modulus", MODULUS)
    test = lab.rows("modular", lab.pick(20, 1000, 1000), 1_000_000, *difficulty)
    shares = {"no steps": [], "latent thoughts": [], "written steps": []}
    by_stage = {stage: [] for stage in stages}

    def score(run, rows):
        return lab.score(run, rows, [loops])[0][None][loops]

    for seed in lab.seeds:
        rows = lab.rows("modular", count, seed, *difficulty)
        for name, of in (("no steps", lambda r: stage_rows(lab, r, 0, per_step, direct=True)),
                         ("written steps", lambda r: stage_rows(lab, r, 0, per_step))):
            run = lab.train(name.replace(" ", "-"), whole, shards(lab, of(rows)), seed)
            if run:
                shares[name].append(score(run, of(test)))
        run = None
        for stage in stages:
            start = ["--init-from", run] if run else []
            run = lab.train(f"stage{stage}", staged, shards(lab, stage_rows(lab, rows, stage, per_step)), seed, *start)
            if not run:
                break
            by_stage[stage].append(score(run, stage_rows(lab, test, stage, per_step)))
        if run:
            shares["latent thoughts"].append(by_stage[stages[-1]][-1])

    thoughts = stages[-1] * per_step
    if run:
        # The thoughts in generation: behind the question, and before the first token of the text.
        prompt = json.loads(test.read_text().splitlines()[0])["prompt"]
        text = json.loads(lab.mythos("generate", "--checkpoint", run, "--prompt", prompt, "--latent-steps", thoughts,
                                     "--loops", loops, "--temperature", 0, "--max-tokens", 4, "--json", "--quiet",
                                     *lab.device)[1])["text"]
        print(f"\n{prompt} and {thoughts} latent thoughts: {text}")
    paper = {"no steps": "worst", "latent thoughts": "better", "written steps": "best"}
    lab.table(f"Exact match on {operations} operations modulo {MODULUS}",
              ["between question and answer", "measured", "paper"],
              [[name, percent(found) if found else "diverged", paper[name]] for name, found in shares.items()])
    lab.table("Exact match of each stage", ["stage", "latent thoughts", "written steps", "measured"],
              [[stage, stage * per_step, stages[-1] - stage, percent(found)]
               for stage, found in by_stage.items() if found])
    lab.plot("latent", "Exact match by stage", "steps replaced by latent thoughts", "share",
             {"measured": [(stage, mean(found)) for stage, found in by_stage.items() if found]})


if __name__ == "__main__":
    main()
