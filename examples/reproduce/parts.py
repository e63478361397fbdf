#!/usr/bin/env python3
"""Kinds of attention and of feed-forward inside the loop, and which experts each loop uses.

The claims (DeepSeek-AI 2024, DeepSeek-V2, arXiv 2405.04434): latent attention keeps a small part of the cache of
multi-head attention and is no worse; (Dai et al. 2024, DeepSeekMoE, arXiv 2401.06066): experts are better than a dense
feed-forward that costs as much; (OpenMythos, github.com/kyegomez/OpenMythos, its README): as the state evolves, the
router may choose different experts in each loop."""
import json

from lab import Lab, file_name, mean, measured, text_model, text_training


def text_rows(lab):
    """Lines of text as rows whose second half is the answer, to count experts over."""
    path = lab.out / "text-rows.jsonl"
    if not path.exists():
        lines = [line.strip() for file in lab.text_files() for line in
                 file.read_text(errors="replace").splitlines()]
        lines = [line for line in lines if 20 <= len(line) <= 80][:lab.pick(40, 1000, 5000)]
        halves = [(line[:len(line) // 2], line[len(line) // 2:]) for line in lines]
        lab.write(path, "".join(json.dumps({"prompt": a, "completion": b}) + "\n" for a, b in halves))
    return path


def main():
    lab = Lab("parts", __doc__)
    data, vocabulary = lab.text_data()
    width, heads = lab.pick((32, 2), (128, 4), (512, 8))
    loops = lab.pick(2, 4, 8)
    expert = lab.pick(16, 96, 384)
    steps = lab.steps(4, 500, 30_000)
    base = text_model(vocabulary, width, heads, loops, ffn_dim=4 * expert, n_experts=8, n_experts_per_tok=2,
                      n_shared_experts=1, expert_dim=expert, kv_lora_rank=width // 4, q_lora_rank=width // 2,
                      qk_rope_head_dim=8, qk_nope_head_dim=width // heads // 2, v_head_dim=width // heads)
    # Two routed experts and a shared one of twice their width cost what a dense one of four times the width does.
    models = {
        "multi-head, dense": {}, "grouped-query, dense": dict(n_kv_heads=max(1, heads // 4)),
        "latent (MLA), dense": dict(attention="mla", qk_norm=False), "multi-head, experts": dict(ffn="moe"),
        "experts that know the loop": dict(ffn="moe", loop_embedding="sinusoid", lora_rank=8),
    }
    paper = {"grouped-query, dense": "smaller cache, slightly worse", "latent (MLA), dense": "small cache, no worse",
             "multi-head, experts": "better than dense"}
    training = text_training(steps, lab.pick(2, 8, 64), lab.pick(32, 128, 1024), 2e-2,
                             loop_sampling="poisson")
    rows, points, routed = [], {}, {}
    for name, changes in models.items():
        config = lab.config(file_name(name), {**base, **changes}, training)
        plan = json.loads(lab.mythos("plan", "--config", config, "--json")[1])
        cache = plan["cache_per_token"]["bytes"]["bf16"]
        runs = [run for seed in lab.seeds if (run := lab.train(config.stem, config, data, seed))]
        bits = [lab.likelihood(run, data, [loops])[loops]["bits_per_byte"] for run in runs]
        rows.append([name, f"{plan['parameters']:,}", f"{plan['macs_per_token']['total']:,}", f"{cache:,}",
                     measured(bits, 4), paper.get(name, "")])
        if bits:
            points[name] = [(cache, mean(bits))]
        if bits and "experts" in name:
            routed[name] = runs[0]
    lab.table("Parts of the core on text", ["model", "parameters", "MACs per token", "cache bytes per token",
                                            "bits per byte, measured", "paper"], rows)
    lab.plot("parts", "Bits per byte over the size of the cache", "bytes per token, bf16", "bits per byte", points)
    for name, run in routed.items():
        # The load at T loops less that at T - 1 is what the last loop adds.
        report = lab.score(run, text_rows(lab), range(1, loops + 1))[1]
        loads = [[sum(column) for column in zip(*row["expert_load"])] for row in report["loops"]]
        each = [loads[0]] + [[b - a for a, b in zip(loads[t - 1], loads[t])] for t in range(1, loops)]
        shares = [[load / sum(loop) for load in loop] for loop in each]
        lab.table(f"Share of tokens that each expert takes, by loop: {name}",
                  ["loop", *[f"expert {e}" for e in range(8)]],
                  [[t + 1, *[f"{100 * share:.1f}%" for share in loop]] for t, loop in enumerate(shares)])
        # What two choices of k = 2 experts have in common by chance, from each loop's shares.
        chance = [2 * sum(a * b for a, b in zip(shares[t - 1], shares[t])) for t in range(1, loops)]
        overlap = report["loops"][-1]["expert_overlap"][0]
        lab.table(f"Experts of a token that it had in the loop before: {name}", ["loop", "measured", "by chance"],
                  [[t + 2, f"{100 * overlap[t]:.1f}%", f"{100 * chance[t]:.1f}%"] for t in range(loops - 1)])
        lab.plot(file_name(name), f"Experts by loop: {name}", "loop", "share of the routed tokens",
                 {f"expert {e}": [(t + 1, loop[e]) for t, loop in enumerate(shares)] for e in range(8)})


if __name__ == "__main__":
    main()
