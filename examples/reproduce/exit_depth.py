#!/usr/bin/env python3
"""Loops until the answer is settled, over the difficulty of the problem.

The claim (Dehghani et al. 2018, Universal Transformers, for ACT; Zhu et al. 2025, Ouro, arXiv 2510.25741, for a
learned gate): harder inputs take more loops. Here a position stops when a further loop no longer changes its
distribution (kl) or its state (latent), on modular arithmetic of more or fewer operations."""
from lab import LOOP_OBJECTIVES, Lab, mean, percent, task_model, task_training


def main():
    lab = Lab("exit_depth", __doc__)
    width, heads = lab.pick((16, 2), (64, 4), (256, 8))
    loops = lab.pick(4, 12, 24)
    easy, hard = lab.pick((1, 2), (3, 8), (3, 16))
    model = task_model(width, heads, prelude_layers=1, injection="lti", ffn_dim=2 * width,
                       max_loop_iters=lab.pick(2, 6, 12))
    training = task_training(lab.steps(4, 1000, 60_000), lab.pick(4, 16, 64), lab.pick(64, 128, 512),
                             lab.pick(1e-3, 3e-3, 1e-3), loop_sampling="poisson")
    count = lab.pick(300, 200_000, 2_000_000)
    data = lab.graded_data("modular", count, f"1..{easy}", f"1..{hard}", "--modulus", 5, eos=False)
    test = lab.rows("modular", lab.pick(60, 3000, 20_000), 1_000_000, "--difficulty", f"1..{hard}", "--modulus", 5)
    config = lab.config("modular", model, training, LOOP_OBJECTIVES)
    runs = [run for seed in lab.seeds if (run := lab.train("modular", config, data, seed))]
    if not runs:
        print("every run diverged")
        return
    rules = {"kl": ["--exit", "kl", "--exit-threshold", "0.01"],
             "latent": ["--exit", "latent", "--exit-threshold", "0.05"]}
    exact = [lab.score(run, test, [loops])[0] for run in runs]
    found = {}
    for rule, words in rules.items():
        reports = [lab.score(run, test, [loops], *words)[1] for run in runs]
        found[rule] = {row["difficulty"]: (mean(r["difficulties"][i]["loops"][0]["mean_loops"] for r in reports),
                                           mean(r["difficulties"][i]["loops"][0]["accuracy"] for r in reports))
                       for i, row in enumerate(reports[0]["difficulties"])}
    difficulties = list(found["kl"])
    lab.table(f"Loops of at most {loops} until the exit", ["operations", "exact match, all loops", *[
        f"{rule}: {what}" for rule in rules for what in ("loops", "exact match")], "paper"],
        [[d, percent(s[d][loops] for s in exact), *[text for rule in rules for text in (
            f"{found[rule][d][0]:.2f}", f"{100 * found[rule][d][1]:.1f}%")], "grows with difficulty"]
         for d in difficulties])
    lab.plot("exit-depth", "Loops until the exit over difficulty", "operations", "mean loops",
             {rule: [(d, found[rule][d][0]) for d in difficulties] for rule in rules})


if __name__ == "__main__":
    main()
