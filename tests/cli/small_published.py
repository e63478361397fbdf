#!/usr/bin/env python3
"""Writes a small model as published ones lie, with random weights in bf16: small_published.py ouro|huginn FOLDER [VOCAB]

Ouro's is in two shards with their index, Huginn's in one file. There is no tokenizer.
"""
import json
import os
import random
import struct
import sys

WIDTH = 32


def ouro(words):
    config = {"model_type": "ouro", "hidden_act": "silu", "max_position_embeddings": 128, "rms_norm_eps": 1e-6,
              "rope_theta": 1e6, "tie_word_embeddings": False, "vocab_size": words, "hidden_size": WIDTH,
              "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
              "head_dim": 16, "total_ut_steps": 3, "early_exit_threshold": 1.0, "torch_dtype": "bfloat16"}
    names = {"model.embed_tokens.weight": [words, WIDTH], "lm_head.weight": [words, WIDTH],
             "model.norm.weight": [WIDTH], "model.early_exit_gate.weight": [1, WIDTH], "model.early_exit_gate.bias": [1]}
    for i in range(2):
        at = f"model.layers.{i}."
        for norm in "input_layernorm", "input_layernorm_2", "post_attention_layernorm", "post_attention_layernorm_2":
            names[f"{at}{norm}.weight"] = [WIDTH]
        names.update({f"{at}self_attn.{p}_proj.weight": [WIDTH, WIDTH] for p in "qkvo"})
        names.update({f"{at}mlp.{p}_proj.weight": [64, WIDTH] for p in ("gate", "up")})
        names[f"{at}mlp.down_proj.weight"] = [WIDTH, 64]
    return config, names


def huginn(words):
    sections = {"prelude": 1, "core_block": 2, "coda": 1}
    config = {"model_type": "huginn_raven", "n_embd": WIDTH, "n_heads": 2, "n_layers": 4, "head_dim": 16,
              "n_layers_in_prelude": 1, "n_layers_in_recurrent_block": 2, "n_layers_in_coda": 1,
              "intermediate_size": 64, "num_key_value_heads": 2, "vocab_size": words, "padded_vocab_size": words,
              "block_size": 128, "norm_eps": 1e-6, "rope_base": 50000.0, "qk_bias": True, "bias": False,
              "tie_embeddings": True, "mean_recurrence": 3, "mean_backprop_depth": 2, "injection_type": "linear",
              "state_init": "like-init", "block_class_name": "SandwichBlock", "norm_class_name": "RMSNorm_llama",
              "mlp_class_name": "GatedMLP", "nonlin_name": "SiLU", "test_time_noise": 0,
              "init_values": {"std": 0.1, "embedding": 0.1, "embed_scale": WIDTH ** 0.5}, "torch_dtype": "bfloat16"}
    names = {"transformer.wte.weight": [words, WIDTH], "transformer.adapter.weight": [WIDTH, 2 * WIDTH],
             "transformer.ln_f.weight": [WIDTH]}
    for section, count in sections.items():
        for i in range(count):
            at = f"transformer.{section}.{i}."
            names.update({f"{at}norm_{n}.weight": [WIDTH] for n in (1, 2, 3, 4)})
            names.update({f"{at}attn.qk_bias": [2, 1, 2, 16], f"{at}attn.Wqkv.weight": [3 * WIDTH, WIDTH],
                          f"{at}attn.proj.weight": [WIDTH, WIDTH], f"{at}mlp.fc.weight": [128, WIDTH],
                          f"{at}mlp.proj.weight": [WIDTH, 64]})
    return config, names


def write_file(path, tensors):
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def main():
    family, folder = sys.argv[1:3]
    config, names = {"ouro": ouro, "huginn": huginn}[family](int(sys.argv[3]) if len(sys.argv) > 3 else 384)
    rng = random.Random(1)

    def numbers(shape):
        count = 1
        for side in shape:
            count *= side
        values = [rng.gauss(0, 0.1) if len(shape) > 1 else 1.0 for _ in range(count)]
        return b"".join(struct.pack("<f", x)[2:] for x in values)

    tensors = {name: (shape, numbers(shape)) for name, shape in names.items()}
    os.makedirs(folder)
    if family == "huginn":
        write_file(f"{folder}/model.safetensors", tensors)
    else:
        index, shards = {}, ({}, {})
        for i, name in enumerate(tensors):
            shards[i % 2][name] = tensors[name]
            index[name] = f"model-0000{i % 2 + 1}-of-00002.safetensors"
        for i, shard in enumerate(shards):
            write_file(f"{folder}/model-0000{i + 1}-of-00002.safetensors", shard)
        with open(folder + "/model.safetensors.index.json", "w") as file:
            json.dump({"weight_map": index}, file)
    with open(folder + "/config.json", "w") as file:
        json.dump(config, file)


if __name__ == "__main__":
    main()
