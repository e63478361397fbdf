#!/usr/bin/env python3
"""More loops for harder problems: modular arithmetic, parity and chains beyond the difficulty of training.

The claim (Fan et al. 2024, arXiv 2409.15647, for lengths; the depth extrapolation that looped models are built for):
a model trained to few steps solves problems of more steps when it runs more loops, and a plain one does not.

Two things make the looped model learn within minutes: the loss of every loop's state, so that each answers what it can
by then, and rows of which half are easy, so that a step is learned before chains of steps are."""
from lab import LOOP_OBJECTIVES, Lab, mean, percent, task_model, task_training


def main():
    lab = Lab("extrapolate", __doc__)
    width, heads = lab.pick((16, 2), (64, 4), (256, 8))
    loops = lab.pick([1, 2, 4], [1, 2, 3, 4, 6, 8, 10, 12, 16], [1, 2, 4, 8, 12, 16, 24, 32, 48])
    # Easy rows, all rows of training, the hardest of the test, options, unit. Of chains that end within --symbols
    # letters there must be two or more, or the only end would be the answer at any depth.
    tasks = {
        "modular": (*lab.pick((1, 2, 3), (3, 8, 12), (3, 8, 24)), ["--modulus", 5], "operations"),
        "parity": (*lab.pick((2, 4, 8), (3, 8, 16), (3, 8, 32)), [], "bits"),
        "pointer": (*lab.pick((1, 2, 3), (2, 5, 7), (2, 5, 19)),
                    ["--to-end", "--symbols", lab.pick(8, 16, 40)], "steps"),
    }
    model = task_model(width, heads, prelude_layers=1, injection="lti", ffn_dim=2 * width,
                       max_loop_iters=lab.pick(2, 6, 6))
    training = task_training(lab.steps(4, 1000, 20_000), lab.pick(4, 16, 64), lab.pick(64, 128, 512),
                             lab.pick(1e-3, 3e-3, 1e-3), loop_sampling="poisson")
    for task, (easy, trained, tested, options, unit) in tasks.items():
        count = lab.pick(300, 200_000, 2_000_000)
        data = lab.graded_data(task, count, f"1..{easy}", f"1..{trained}", *options, eos=False)
        test = lab.rows(task, lab.pick(60, 3000, 20_000), 1_000_000, "--difficulty", f"1..{tested}", *options)
        looped = lab.config(task, model, training, LOOP_OBJECTIVES)
        plain = lab.write(lab.out / f"{task}-plain.toml", lab.mythos("plan", "--match-params", looped, "--toml")[1])
        scores, twins = [], []
        for seed in lab.seeds:
            run, twin = (lab.train(config.stem, config, data, seed) for config in (looped, plain))
            if run and twin:
                scores.append(lab.score(run, test, loops)[0])
                twins.append({d: at[1] for d, at in lab.score(twin, test, [1])[0].items()})
        if not scores:
            print(f"{task}: every run diverged")
            continue
        difficulties = [d for d in scores[0] if d is not None]
        lab.table(f"Exact match, {task}, trained to {trained} {unit} at a mean of {model['max_loop_iters']} loops",
                  [unit, *[f"{n} loops" for n in loops], "plain twin", "paper"],
                  [[f"{d}{'' if d <= trained else ' (unseen)'}", *[percent(s[d][n] for s in scores) for n in loops],
                    percent(twin[d] for twin in twins), "no figure"] for d in difficulties])
        lab.plot(task, f"{task}: trained to {trained} {unit}", unit, "share of rows",
                 {**{f"{n} loops": [(d, mean(s[d][n] for s in scores)) for d in difficulties] for n in loops},
                  "plain twin": [(d, mean(twin[d] for twin in twins)) for d in difficulties]})


if __name__ == "__main__":
    main()
