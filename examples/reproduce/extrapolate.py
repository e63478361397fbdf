#!/usr/bin/env python3
"""More loops for harder problems: chains, modular arithmetic and parity beyond the difficulty of training.

The claim (Fan et al. 2024, arXiv 2409.15647, for lengths; the depth extrapolation that looped models are built for):
a model trained to few steps solves problems of more steps when it runs more loops, and a plain one does not."""
from lab import Lab, mean, percent, task_model, task_training


def main():
    lab = Lab("extrapolate", __doc__)
    trained, tested = lab.pick((2, 3), (5, 12), (5, 20))
    bits = lab.pick((4, 8), (16, 32), (20, 50))
    width, heads = lab.pick((16, 2), (64, 4), (256, 8))
    loops = lab.pick([1, 2, 4], [1, 2, 4, 6, 8, 12, 16], [1, 2, 4, 8, 12, 16, 24, 32, 48])
    symbols = lab.pick(8, 16, 40)
    tasks = {
        "pointer": (trained, tested, ["--to-end", "--symbols", symbols], "steps"),
        "modular": (trained, tested, [], "operations"),
        "parity": (*bits, [], "bits"),
    }
    model = task_model(width, heads, prelude_layers=1, coda_layers=1, injection="lti",
                       max_loop_iters=lab.pick(2, 4, 12))
    training = task_training(lab.steps(4, 3500, 60_000), lab.pick(4, 8, 64), lab.pick(64, 256, 1024),
                             lab.pick(1e-3, 2e-3, 3e-4), loop_sampling="poisson")
    for task, (easy, hard, options, unit) in tasks.items():
        data = lab.task_data(task, lab.pick(300, 200_000, 2_000_000), 1, "--difficulty", f"1..{easy}", *options)
        test = lab.rows(task, lab.pick(60, 3000, 20_000), 1_000_000, "--difficulty", f"1..{hard}", *options)
        config = lab.config(task, model, training)
        scores = []
        for seed in lab.seeds:
            run = lab.train(task, config, data, seed)
            if run:
                scores.append(lab.score(run, test, loops)[0])
        if not scores:
            print(f"{task}: every run diverged")
            continue
        difficulties = [d for d in scores[0] if d is not None]
        lab.table(f"Exact match, {task}, trained to {easy} {unit} at a mean of {model['max_loop_iters']} loops",
                  [unit, *[f"{n} loops" for n in loops], "paper"],
                  [[f"{d}{'' if d <= easy else ' (unseen)'}", *[percent(s[d][n] for s in scores) for n in loops],
                    "no figure"] for d in difficulties])
        lab.plot(task, f"{task}: trained to {easy} {unit}", unit, "share of rows",
                 {f"{n} loops": [(d, mean(s[d][n] for s in scores)) for d in difficulties] for n in loops})


if __name__ == "__main__":
    main()
