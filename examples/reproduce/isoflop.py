#!/usr/bin/env python3
"""Loops and tokens at equal FLOPs: how a budget is best divided between depth and data.

The claim (Prairie et al. 2026, Parcae, arXiv 2604.12946): at equal parameters and FLOPs there is a best number of
loops, and it grows with the budget, as do the tokens: both are power laws of the FLOPs."""
import json
import math

from lab import Lab, mean, measured, text_model, text_training


def vertex(points):
    """The lowest point of the parabola through points (x, y) in the sense of least squares; None if it has none."""
    n = len(points)
    sums = [sum(x ** k for x, _ in points) for k in range(5)]
    right = [sum(y * x ** k for x, y in points) for k in range(3)]
    rows = [[sums[i + j] for j in range(3)] + [right[i]] for i in range(3)]
    for i in range(3):
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for j in range(3):
            if j != i:
                rows[j] = [a - rows[j][i] * b for a, b in zip(rows[j], rows[i])]
    _, b, c = (row[3] for row in rows)
    return -b / (2 * c) if n > 2 and c > 0 else None


def exponent(points):
    """The slope of log y over log x."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    x_mean, y_mean = mean(x for x, _ in logs), mean(y for _, y in logs)
    return sum((x - x_mean) * (y - y_mean) for x, y in logs) / sum((x - x_mean) ** 2 for x, _ in logs)


def main():
    lab = Lab("isoflop", __doc__)
    data, vocabulary = lab.text_data()
    width, heads = lab.pick((32, 2), (64, 4), (768, 12))
    budgets = lab.pick([1e8, 2e8], [2e11, 6e11, 1.8e12, 5.4e12], [1e17, 4e17, 1.6e18, 6.4e18])
    depths = lab.pick([1, 2, 4], [1, 2, 4, 8], [2, 4, 6, 8, 12])
    batch, length = lab.pick((2, 32), (12, 64), (64, 1024))
    flops = {}  # of training on one token
    for loops in depths:
        config = lab.config(f"plan-{loops}", text_model(vocabulary, width, heads, loops), {})
        plan = json.loads(lab.mythos("plan", "--config", config, "--json")[1])
        flops[loops] = 6 * plan["macs_per_token"]["total"]  # 2 for a multiply-accumulate, thrice for the backward pass
    losses, best = {}, []
    for budget in budgets:
        for loops in depths:
            steps = max(2, round(budget / flops[loops] / (batch * length)))
            config = lab.config(f"flops{budget:g}-loops{loops}", text_model(vocabulary, width, heads, loops),
                                text_training(steps, batch, length, 2e-2))
            found = []
            for seed in lab.seeds:
                run = lab.train(config.stem, config, data, seed)
                found.append(lab.likelihood(run, data, [loops])[loops]["loss"] if run else math.nan)
            losses[budget, loops] = found
        low = vertex([(math.log2(loops), mean(losses[budget, loops])) for loops in depths])
        edge = low is None or not 0 <= low <= math.log2(depths[-1])
        if edge:  # No lowest point between the depths: the best of them
            low = math.log2(min(depths, key=lambda loops: mean(losses[budget, loops])))
        # FLOPs of a token grow linearly with the loops.
        slope = (flops[depths[-1]] - flops[depths[0]]) / (depths[-1] - depths[0])
        tokens = budget / (flops[depths[0]] + slope * (2 ** low - depths[0]))
        best.append((budget, 2 ** low, tokens, edge))

    lab.table("Loss (nats per token) at equal FLOPs", ["FLOPs", *[f"{loops} loops" for loops in depths], "best loops",
                                                       "its tokens"],
              [[f"{budget:g}", *[measured(losses[budget, loops], 3) for loops in depths],
                f"{low:.1f}" + (" (at the edge)" if edge else ""), f"{tokens:,.0f}"]
               for budget, low, tokens, edge in best])
    if all(math.isfinite(low) and math.isfinite(tokens) for _, low, tokens, _ in best):
        lab.table("Exponents of the power laws", ["law", "measured", "paper"],
                  [["loops ~ FLOPs^a", f"a = {exponent([(c, low) for c, low, _, _ in best]):.2f}", "a > 0"],
                   ["tokens ~ FLOPs^b", f"b = {exponent([(c, d) for c, _, d, _ in best]):.2f}", "b > 0"]])
    lab.plot("isoflop", "Loss over loops at equal FLOPs", "loops", "nats per token",
             {f"{budget:g} FLOPs": [(loops, mean(losses[budget, loops])) for loops in depths] for budget in budgets},
             log_x=True)


if __name__ == "__main__":
    main()
