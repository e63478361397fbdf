#!/usr/bin/env python3
"""The loss over loops at test time: a saturating exponential beside a power law.

The claim (Prairie et al. 2026, Parcae, arXiv 2604.12946): with more loops at test time the loss falls along a
saturating exponential."""
import math

from lab import Lab, mean, text_model, text_training


def fit(xs, ys, shape):
    """Least squares of y = a + b·shape(x, c): (error, a, b, c), with c from a fine geometric grid."""
    best = None
    for i in range(2000):
        c = 0.005 * 1.005 ** i
        fs = [shape(x, c) for x in xs]
        f_mean, y_mean = mean(fs), mean(ys)
        spread = sum((f - f_mean) ** 2 for f in fs)
        if spread < 1e-18:
            continue
        b = sum((f - f_mean) * (y - y_mean) for f, y in zip(fs, ys)) / spread
        a = y_mean - b * f_mean
        error = math.sqrt(mean((a + b * f - y) ** 2 for f, y in zip(fs, ys)))
        if best is None or error < best[0]:
            best = (error, a, b, c)
    return best


def main():
    lab = Lab("saturation", __doc__)
    data, vocabulary = lab.text_data()
    width, heads = lab.pick((32, 2), (128, 4), (512, 8))
    trained = lab.pick(2, 4, 8)
    config = lab.config("looped", text_model(vocabulary, width, heads, trained), text_training(
        lab.steps(4, 1000, 30_000), lab.pick(2, 8, 64), lab.pick(32, 128, 1024), 2e-2,
        loop_sampling="poisson"))
    loops = list(range(1, lab.pick(4, 4, 4) * trained + 1))
    runs = [run for seed in lab.seeds if (run := lab.train("looped", config, data, seed))]
    if not runs:
        print("every run diverged")
        return
    rows = [lab.likelihood(run, data, loops, "--max-tokens", 65536) for run in runs]
    losses = [mean(r[n]["loss"] for r in rows) for n in loops]
    exponential = fit(loops, losses, lambda x, c: math.exp(-c * x))
    power = fit(loops, losses, lambda x, c: x ** -c)
    better = "exponential" if exponential[0] <= power[0] else "power law"
    lab.table("Loss over loops and its two laws", ["law", "root mean square error", "limit", "rate", "paper"],
              [["a + b·exp(-c·T)", f"{exponential[0]:.5f}", f"{exponential[1]:.4f}", f"{exponential[3]:.3f}",
                "fits (saturating exponential)"],
               ["a + b·T^-c", f"{power[0]:.5f}", f"{power[1]:.4f}", f"{power[3]:.3f}", ""]])
    print(f"\nThe {better} fits better.")
    lab.plot("saturation", "Loss over loops at test time", "loops", "nats per token",
             {"measured": list(zip(loops, losses)),
              "exponential": [(n, exponential[1] + exponential[2] * math.exp(-exponential[3] * n)) for n in loops],
              "power law": [(n, power[1] + power[2] * n ** -power[3]) for n in loops]})


if __name__ == "__main__":
    main()
