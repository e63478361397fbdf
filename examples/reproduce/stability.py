#!/usr/bin/env python3
"""Injections over learning rates: LTI and ZOH beside a linear map and plain addition.

The claim (Prairie et al. 2026, Parcae, arXiv 2604.12946): looped training diverges because the injection's spectral
norm is not held below one; injections that hold it train at learning rates at which others diverge."""
import math

from lab import Lab, mean

INJECTIONS = ["lti", "zoh", "linear", "add"]
PAPER = {"zoh": "stable", "linear": "diverges at higher rates", "add": "diverges at higher rates"}


def main():
    lab = Lab("stability", __doc__)
    data, vocabulary = lab.text_data()
    width, heads = lab.pick((32, 2), (96, 4), (512, 8))
    rates = lab.pick([1e-3, 1e-2], [1e-3, 3e-3, 1e-2, 3e-2, 1e-1], [2e-4, 4e-4, 6e-4, 8e-4, 1e-3, 2e-3, 4e-3])
    loops = lab.pick(2, 8, 8)
    steps = lab.steps(4, 300, 5000)
    losses = {name: [] for name in INJECTIONS}
    for name in INJECTIONS:
        for rate in rates:
            model = dict(vocab_size=vocabulary, dim=width, n_heads=heads, n_kv_heads=heads, attention="gqa",
                         ffn="dense", ffn_dim=4 * width, max_loop_iters=loops, injection=name, initial_state="zero",
                         loop_embedding="none", lora_rank=0)
            training = dict(steps=steps, batch_size=lab.pick(2, 8, 64), seq_len=lab.pick(32, 64, 1024), lr=rate,
                            clip_norm=0.0, val_every=0, save_every=0, val_tokens=4096, warmup_steps=steps // 20)
            config = lab.config(f"{name}-{rate:g}", model, training)
            found = []
            for seed in lab.seeds:
                run = lab.train(config.stem, config, data, seed)
                loss = lab.likelihood(run, data, [loops])[loops]["loss"] if run else None
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
