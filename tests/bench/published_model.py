#!/usr/bin/env python3
"""Writes a directory as a published looped model's looks, with random weights: for speed and memory without a download.

    tests/bench/published_model.py ouro-1.4b DIR [--layers N] [--vocab N] [--seed N]

The shapes are those of the models' published configurations. Weights are bf16, normal with the deviation 0.02 (norms
are 1), in .safetensors files of at most 2 GB with their index; the tokenizer is one token for each byte. --layers and
--vocab make it smaller. Only Python's own library is needed.
"""
import argparse
import array
import json
import pathlib
import random
import struct

STACK = {  # hidden, layers, heads, key/value heads, head width, feed-forward, vocabulary, loops
    "ouro-1.4b": ("ouro", 2048, 24, 16, 16, 128, 5632, 49152, 4),
    "ouro-2.6b": ("ouro", 2048, 48, 16, 16, 128, 5632, 49152, 4),
    "nanbeige-3b": ("nanbeige", 3072, 22, 48, 8, 128, 10752, 166144, 2),
    "llama-1.4b": ("llama", 2048, 24, 16, 16, 128, 5632, 49152, 1),
}
MAX_FILE = 2_000_000_000


def bf16_pool(rng, std, count=1 << 20):
    """Bytes of `count` bf16 numbers from a normal distribution."""
    numbers = array.array("f", (rng.gauss(0, std) for _ in range(count)))
    halves = array.array("H", struct.unpack(f"<{2 * count}H", numbers.tobytes())[1::2])
    return halves.tobytes()


def stack_model(name, layers, vocab):
    kind, width, depth, heads, kv, head, hidden, words, loops = STACK[name]
    depth, words = layers or depth, vocab or words
    config = {"model_type": kind, "architectures": [{"ouro": "OuroForCausalLM", "nanbeige": "NanbeigeForCausalLM",
                                                     "llama": "LlamaForCausalLM"}[kind]],
              "hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": heads,
              "num_key_value_heads": kv, "head_dim": head, "intermediate_size": hidden, "vocab_size": words,
              "hidden_act": "silu", "max_position_embeddings": 65536, "rms_norm_eps": 1e-6,
              "rope_theta": {"ouro": 1e6, "nanbeige": 7e7, "llama": 1e6}[kind], "rope_scaling": None,
              "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
              "bos_token_id": 0, "eos_token_id": 0}
    if kind == "ouro":
        config.update(total_ut_steps=loops, early_exit_threshold=1.0)
    if kind == "nanbeige":
        config.update(num_loops=loops)
    tensors = [("model.embed_tokens.weight", [words, width])]
    for i in range(depth):
        at = f"model.layers.{i}."
        norms = ["input_layernorm", "post_attention_layernorm"]
        if kind == "ouro":
            norms += ["input_layernorm_2", "post_attention_layernorm_2"]
        tensors += [(f"{at}{norm}.weight", [width]) for norm in norms]
        tensors += [(f"{at}self_attn.{p}_proj.weight", [(heads if p == "q" else kv) * head, width]) for p in "qkv"]
        tensors += [(f"{at}self_attn.o_proj.weight", [width, heads * head]),
                    (f"{at}mlp.gate_proj.weight", [hidden, width]), (f"{at}mlp.up_proj.weight", [hidden, width]),
                    (f"{at}mlp.down_proj.weight", [width, hidden])]
    tensors.append(("model.norm.weight", [width]))
    if kind == "ouro":
        tensors += [("model.early_exit_gate.weight", [1, width]), ("model.early_exit_gate.bias", [1])]
    tensors.append(("lm_head.weight", [words, width]))
    return config, tensors


def huginn_model(layers, vocab):
    width, heads, head, hidden, words = 5280, 55, 96, 17920, vocab or 65536
    counts = {"prelude": 2, "core_block": layers or 4, "coda": 2}
    config = {"model_type": "huginn_raven", "architectures": ["RavenForCausalLM"], "n_embd": width, "n_heads": heads,
              "n_layers": sum(counts.values()), "n_layers_in_prelude": 2,
              "n_layers_in_recurrent_block": counts["core_block"], "n_layers_in_coda": 2, "head_dim": head,
              "intermediate_size": hidden, "num_key_value_heads": heads, "vocab_size": words,
              "padded_vocab_size": words, "padding_multiple": 4096, "block_size": 4096, "norm_eps": 1e-6,
              "rope_base": 50000.0, "qk_bias": True, "bias": False, "tie_embeddings": True, "mean_recurrence": 32,
              "mean_backprop_depth": 8, "injection_type": "linear", "state_init": "like-init",
              "block_class_name": "SandwichBlock", "norm_class_name": "RMSNorm_llama", "mlp_class_name": "GatedMLP",
              "nonlin_name": "SiLU", "sampling_scheme": "poisson-lognormal-filling", "test_time_noise": 0,
              "test_time_noise_type": "fixed", "torch_dtype": "bfloat16",
              "init_values": {"std": 0.0087, "out_proj": 0.0005, "embedding": 0.0087, "embed_scale": width ** 0.5}}
    tensors = [("transformer.wte.weight", [words, width]), ("transformer.adapter.weight", [width, 2 * width])]
    for section, count in counts.items():
        for i in range(count):
            at = f"transformer.{section}.{i}."
            tensors += [(f"{at}norm_{n}.weight", [width]) for n in (1, 2, 3, 4)]
            tensors += [(f"{at}attn.qk_bias", [2, 1, heads, head]), (f"{at}attn.Wqkv.weight", [3 * width, width]),
                        (f"{at}attn.proj.weight", [width, width]), (f"{at}mlp.fc.weight", [2 * hidden, width]),
                        (f"{at}mlp.proj.weight", [width, hidden])]
    tensors.append(("transformer.ln_f.weight", [width]))
    return config, tensors


def numel(shape):
    count = 1
    for side in shape:
        count *= side
    return count


def write_file(path, tensors, pool, ones, rng):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors:
        end = at + 2 * numel(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name, shape in tensors:
            source, left = (ones if len(shape) == 1 and "norm" in name or ".ln_f." in name else pool), 2 * numel(shape)
            shift = 2 * rng.randrange(len(source) // 2)
            while left > 0:
                part = source[shift:shift + left]
                out.write(part)
                left, shift = left - len(part), 0
    return at


def byte_tokenizer():
    """One token for each byte, as byte-level BPE without merges writes it."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {}, 0
    for byte in range(256):
        if byte in kept:
            letters[chr(byte)] = byte
        else:
            letters[chr(256 + extra)] = byte
            extra += 1
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": 256, "content": "<|endoftext|>", "single_word": False, "lstrip": False,
                              "rstrip": False, "normalized": False, "special": True}],
            "normalizer": None,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            "post_processor": None, "decoder": {"type": "ByteLevel"},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": letters,
                      "merges": []}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=[*STACK, "huginn-3.5b"])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--layers", type=int, help="layers of the looped stack instead of the model's")
    parser.add_argument("--vocab", type=int, help="token ids instead of the model's; 257 at least")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    config, tensors = (stack_model(args.model, args.layers, args.vocab) if args.model in STACK
                       else huginn_model(args.layers, args.vocab))
    rng = random.Random(args.seed)
    pool, ones = bf16_pool(rng, 0.02), struct.pack("<H", 0x3F80) * (1 << 16)
    files, size = [[]], 0
    for tensor in tensors:
        bytes_ = 2 * numel(tensor[1])
        if files[-1] and size + bytes_ > MAX_FILE:
            files.append([])
            size = 0
        files[-1].append(tensor)
        size += bytes_
    args.directory.mkdir(parents=True, exist_ok=True)
    index, total = {}, 0
    for i, part in enumerate(files):
        name = "model.safetensors" if len(files) == 1 else f"model-{i + 1:05}-of-{len(files):05}.safetensors"
        total += write_file(args.directory / name, sorted(part), pool, ones, rng)  # as published files have them
        index.update({tensor: name for tensor, _ in part})
    if len(files) > 1:
        (args.directory / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {"total_size": total}, "weight_map": index}))
    (args.directory / "config.json").write_text(json.dumps(config, indent=1))
    (args.directory / "tokenizer.json").write_text(json.dumps(byte_tokenizer()))
    print(f"{args.model}: {total // 2:,} parameters in {len(tensors)} tensors, {total / 1e9:.2f} GB, {args.directory}")


if __name__ == "__main__":
    main()
