#!/usr/bin/env python3
"""One layer looped L times beside L layers and one layer, on modular arithmetic, p-hop, pointers and addition.

The claim (Saunshi et al. 2025, arXiv 2502.17416, section 2.1): reasoning tasks need depth, not parameters, so that
one layer applied L times is nearly as good as L layers and far better than one. Half of the rows of training are easy
ones, as a step is learned before chains of steps are."""
from lab import Lab, mean, percent, task_model, task_training

PAPER = {"p-hop": "99.5%", "addition": "99.6%"}  # of the looped layer


def main():
    lab = Lab("hops", __doc__)
    depth = lab.pick(2, 4, 6)
    width, heads = lab.pick((16, 2), (64, 4), (256, 8))
    steps = lab.steps(4, 1000, 100_000)
    count = lab.pick(300, 200_000, 4_000_000)
    hops, length, symbols = lab.pick((2, 16, 4), (3, 16, 4), (32, 256, 4))
    operands = lab.pick(2, 3, 32)
    operations = lab.pick(2, 5, 8)
    # Difficulties of the easy rows, of all rows, and options.
    tasks = {
        "modular": ("1..2", f"1..{operations}", ["--modulus", 5]),
        "p-hop": ("1", f"1..{hops}", ["--length", length, "--symbols", symbols]),
        "pointer": ("1", f"1..{hops}", ["--symbols", 8]),
        "addition": ("1", lab.pick("1..2", "1..2", "3"), ["--operands", operands, "--reversed"]),
    }
    models = {
        "one layer": task_model(width, heads, max_loop_iters=1),
        f"one layer, {depth} loops": task_model(width, heads, max_loop_iters=depth),
        f"{depth} layers": task_model(width, heads, core_layers=depth, max_loop_iters=1),
    }
    training = task_training(steps, lab.pick(4, 16, 64), lab.pick(64, 128, 1024), lab.pick(1e-3, 3e-3, 1e-3))
    for task, (easy, whole, options) in tasks.items():
        # Rows of several answers teach more than those of one; the test asks for one.
        dense = ["--queries", 8] if task == "pointer" else []
        data = lab.graded_data(task, count, easy, whole, *options, *dense, eos=task == "addition")
        test = lab.rows(task, lab.pick(40, 2000, 10_000), 1_000_000, "--difficulty", whole, *options)
        rows, lines = [], {}
        for name, model in models.items():
            config = lab.config(f"{task}-{name.replace(' ', '-').replace(',', '')}", model, training)
            scores = []
            for seed in lab.seeds:
                run = lab.train(config.stem, config, data, seed)
                scores.append(lab.score(run, test, [model["max_loop_iters"]])[0] if run else None)
            scores = [{d: next(iter(at.values())) for d, at in s.items()} for s in scores if s]
            if not scores:
                rows.append([name, "diverged", ""])
                continue
            lines[name] = [(d, mean(s[d] for s in scores)) for d in scores[0] if d is not None]
            looped = model["max_loop_iters"] > 1
            paper = "not in the paper" if task not in PAPER else PAPER[task] if looped else "not quoted"
            rows.append([name, percent(s[None] for s in scores), paper])
        lab.table(f"Exact match, {task}", ["model", "measured", "paper"], rows)
        lab.plot(task, f"Exact match, {task}", "digits" if task == "addition" else "steps of an answer",
                 "share of rows", lines)


if __name__ == "__main__":
    main()
