#!/usr/bin/env python3
"""A looped model beside its plain twins on text: equal in parameters, and equal in FLOPs.

The claim (Saunshi et al. 2025, arXiv 2502.17416; Prairie et al. 2026, arXiv 2604.12946): a looped model predicts text
better than a plain one with as many parameters, and not quite as well as one that costs as much."""
import json

from lab import Lab, mean, measured, text_model, text_training


def main():
    lab = Lab("twins", __doc__)
    data, vocabulary = lab.text_data()
    width, heads = lab.pick((32, 2), (128, 4), (768, 12))
    loops = lab.pick(2, 4, 8)
    steps = lab.steps(4, 1000, 50_000)
    looped = lab.config("looped", text_model(vocabulary, width, heads, loops), text_training(
        steps, lab.pick(2, 8, 64), lab.pick(32, 128, 1024), 2e-2))
    configs = {"looped": looped}
    for by in ("params", "flops"):
        configs[f"plain, equal {by}"] = lab.write(
            lab.out / f"plain-{by}.toml", lab.mythos("plan", f"--match-{by}", looped, "--toml")[1])
    rows, bars = [], {}
    for name, config in configs.items():
        plan = json.loads(lab.mythos("plan", "--config", config, "--json")[1])
        bits = []
        for seed in lab.seeds:
            run = lab.train(config.stem, config, data, seed)
            if run:
                depth = loops if name == "looped" else 1
                bits.append(lab.likelihood(run, data, [depth])[depth]["bits_per_byte"])
        macs = plan["macs_per_token"]["total"]
        rows.append([name, f"{plan['parameters']:,}", f"{macs:,}", measured(bits, 4),
                     {"looped": "between the two"}.get(name, "better than looped" if "flops" in name else
                                                       "worse than looped")])
        if bits:
            bars[name] = [(macs / 1e6, mean(bits))]
    lab.table("Bits per byte of text not seen", ["model", "parameters", "MACs per token", "measured", "paper"], rows)
    lab.plot("twins", "Looped model and plain twins", "million multiply-accumulates per token", "bits per byte", bars)


if __name__ == "__main__":
    main()
