#!/usr/bin/env python3
"""Injections over learning rates: LTI and ZOH beside a linear map and plain addition.

The claim (Prairie et al. 2026, Parcae, arXiv 2604.12946): looped training diverges because the injection's spectral
norm is not held below one; injections that hold it train at learning rates at which others diverge."""
import math

from lab import Lab, mean, text_model, text_training

INJECTIONS = ["lti", "zoh", "linear", "add"]
PAPER = {"zoh": "stable", "linear": "diverges at higher rates", "add": "diverges at higher rates"}


def main():
    lab = Lab("stability", __doc__)
    data, vocabulary = lab.text_data()
    width, heads = lab.pick((32, 2), (96, 4), (512, 8))
    rates = lab.pick([1e-3, 1e-2], [1e-3, 3e-3, 1e-2, 3e-2, 1e-1], [2e-4, 4e-4, 6e-4, 8e-4, 1e-3, 2e-3, 4e-3])
    loops = lab.pick(2, 8, 8)
    steps = lab.steps(4, 200, 5000)
    losses = {name: [] for name in INJECTIONS}
    for name in INJECTIONS:
        for rate in rates:
            model = text_model(vocabulary, width, heads, loops, injection=name, qk_norm=False, residual_init="normal")
            config = lab.config(f"{name}-{rate:g}", model, text_training(
                steps, lab.pick(2, 8, 64), lab.pick(32, 64, 1024), rate, optimizer="adamw", clip_norm=0.0))
            found = []
            for seed in lab.seeds:
                run = lab.train(config.stem, config, data, seed)
                loss = lab.likelihood(run, data, [loops], "--max-tokens", 32768)[loops]["loss"] if run else None
                found.append(loss if loss is not None else math.inf)
            losses[name].append(found)

    def cell(found):
        stable = [x for x in found if math.isfinite(x)]
        lost = len(found) - len(stable)
        if not stable:
            return "diverged"
        return f"{mean(stable):.3f}" + (f", {lost} of {len(found)} diverged" if lost else "")

    lab.table("Loss (nats per token) over learning rates, no clipping",
              ["injection", *[f"{r:g}" for r in rates], "paper"],
              [[name, *map(cell, losses[name]), PAPER.get(name, "not in the paper")] for name in INJECTIONS])
    lab.plot("stability", "Loss over learning rates; lines end where every run diverged", "log10 of the learning rate",
             "nats per token", {name: [(math.log10(rate), mean(found)) for rate, found in zip(rates, losses[name])]
                                for name in INJECTIONS})


if __name__ == "__main__":
    main()
