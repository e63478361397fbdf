#!/usr/bin/env python3
"""Which learning rate is best at which number of loops, as matrices begin in two ways.

The claim (arXiv 2606.18524): when what a loop adds is scaled by 1/(N·sqrt(L)) over N loops of L layers, one rate
serves every number of loops. Here model.residual_init = "scaled" begins with outputs that are scaled down by the
loops, "normal" with those of other matrices; the rate is that of both parts of Muon."""
import math

from lab import Lab, mean, text_model, text_training


def main():
    lab = Lab("rates", __doc__)
    data, vocabulary = lab.text_data()
    width, heads = lab.pick((32, 2), (64, 4), (512, 8))
    rates = lab.pick([1e-2, 4e-2], [5e-3, 1e-2, 2e-2, 4e-2, 8e-2], [5e-3, 1e-2, 2e-2, 4e-2, 8e-2])
    depths = lab.pick([1, 2], [1, 2, 4, 8], [1, 2, 4, 8])
    steps = lab.steps(4, 500, 5000)
    rows, lines = [], {}
    for start in ("normal", "scaled"):
        for loops in depths:
            losses = []
            for rate in rates:
                config = lab.config(
                    f"{start}-{loops}-{rate:g}", text_model(vocabulary, width, heads, loops, residual_init=start),
                    text_training(steps, lab.pick(2, 12, 64), lab.pick(32, 64, 1024), rate))
                runs = [lab.train(config.stem, config, data, seed) for seed in lab.seeds]
                losses.append(mean(
                    lab.likelihood(run, data, [loops], "--max-tokens", 32768)[loops]["loss"] if run else math.inf
                    for run in runs))
            best = min(range(len(rates)), key=losses.__getitem__)
            rows.append([start, loops, *[f"{loss:.3f}" if math.isfinite(loss) else "diverged" for loss in losses],
                         f"{rates[best]:g}"])
            lines[f"{start}, {loops} loops"] = [(rate, loss) for rate, loss in zip(rates, losses)]
    lab.table("Loss (nats per token) over learning rates", ["residual_init", "loops", *[f"{r:g}" for r in rates],
                                                            "best rate"], rows)
    lab.plot("rates", "Loss over learning rates", "learning rate", "nats per token",
             {name: line for name, line in lines.items() if name.startswith("scaled")}, log_x=True)


if __name__ == "__main__":
    main()
