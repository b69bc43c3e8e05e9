"""Compares the memory and time that `distill --dry-run` predicts with what a run takes.

    python tests/bench/memory.py --boomerang target/release/boomerang shapes
    python tests/bench/memory.py --boomerang target/release/boomerang scale

needs torch, transformers and Linux. `shapes` has teachers as people use them, with random weights; `scale`
changes one size of a small teacher at a time and prints how peak memory and time of a step grow with it, as
exponents (1: in proportion). Every row is a process of its own, `distill --dry-run --probe N`, on the CPU
in f32; its peak is the operating system's (VmHWM).
"""

import argparse
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile

LLAMA = dict(
    model_type="llama", vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
    num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=8192, rope_theta=100000.0,
    tie_word_embeddings=True,
)
QWEN3 = dict(
    model_type="qwen3", vocab_size=151936, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28,
    num_attention_heads=16, num_key_value_heads=8, head_dim=128, max_position_embeddings=32768,
    rope_theta=1000000.0, tie_word_embeddings=True,
)
GPT2 = dict(
    model_type="gpt2", vocab_size=50257, n_embd=768, n_layer=12, n_head=12, n_positions=1024,
    resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
)
GEMMA2 = dict(
    model_type="gemma2", vocab_size=64000, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
    num_attention_heads=8, num_key_value_heads=4, head_dim=128, max_position_embeddings=8192,
    sliding_window=1024,
)
NEOX = dict(
    model_type="gpt_neox", vocab_size=50304, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
    num_attention_heads=12, max_position_embeddings=2048, rotary_pct=0.25, tie_word_embeddings=False,
    attention_dropout=0.0, hidden_dropout=0.0,
)
# Name, config, flags.
SHAPES = [
    ("SmolLM2-135M", LLAMA, "--batch-size 1 --seq-len 1024"),
    ("SmolLM2-135M", LLAMA, "--batch-size 1 --seq-len 1024 --recompute always --teacher-weights streamed"),
    ("SmolLM2-135M", LLAMA, "--batch-size 8 --seq-len 1024 --recompute always --teacher-weights streamed"),
    ("GPT-2", GPT2, "--batch-size 2 --seq-len 1024"),
    ("Gemma 2, small", GEMMA2, "--batch-size 1 --seq-len 2048"),
    ("Pythia-160M", NEOX, "--batch-size 2 --seq-len 1024 --freeze embedding"),
    ("Qwen3-0.6B", QWEN3, "--batch-size 1 --seq-len 2048 --recompute always"),
    ("Qwen3-0.6B", QWEN3, "--batch-size 1 --seq-len 2048 --recompute always --teacher-weights streamed"),
    (
        "Qwen3-1.7B",
        {**QWEN3, "hidden_size": 2048, "intermediate_size": 6144},
        "--batch-size 1 --seq-len 2048 --recompute always --teacher-weights streamed --head-chunk 64",
    ),
]
SMALL = {
    **LLAMA, "vocab_size": 16384, "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 16,
    "num_attention_heads": 8, "num_key_value_heads": 4,
}
# What changes, its values, and the flags or config for a value.
SCALE = [
    ("sequences", [1, 2, 4, 8], lambda n: ({}, f"--batch-size {n} --seq-len 512")),
    ("positions", [256, 512, 1024, 2048], lambda n: ({}, f"--batch-size 1 --seq-len {n}")),
    ("layers", [8, 16, 32], lambda n: ({"num_hidden_layers": n}, "--batch-size 1 --seq-len 512")),
    (
        "width",
        [256, 512, 1024],
        lambda n: (
            {"hidden_size": n, "intermediate_size": 3 * n, "num_attention_heads": n // 64,
             "num_key_value_heads": n // 128},
            "--batch-size 1 --seq-len 512",
        ),
    ),
    ("vocabulary", [8192, 32768, 131072], lambda n: ({"vocab_size": n}, "--batch-size 1 --seq-len 512")),
]


def make(folder, config):
    """A teacher with random weights in bf16."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(0)
    known = {key: value for key, value in config.items() if key != "model_type"}
    config = AutoConfig.for_model(config["model_type"], **known)
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(f"{folder}/teacher")


def write_ids(folder, seq):
    """Rows of random ids."""
    vocab = json.load(open(f"{folder}/teacher/config.json"))["vocab_size"]
    generator = random.Random(1)
    with open(f"{folder}/data.jsonl", "w") as file:
        for _ in range(16):
            ids = [generator.randrange(vocab) for _ in range(seq)]
            file.write(json.dumps({"input_ids": ids}) + "\n")


def probe(program, folder, flags, steps):
    """Predicted and measured peak in GB, and seconds of a step."""
    write_ids(folder, int(re.search(r"--seq-len (\d+)", flags).group(1)))
    command = [
        program, "distill", "--teacher", f"{folder}/teacher", "--data", f"{folder}/data.jsonl",
        "--out", f"{folder}/run", "--device", "cpu", "--dry-run", "--probe", str(steps), *flags.split(),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    find = lambda pattern: float(re.search(pattern, done.stdout).group(1))
    peak, ratio = find(r"peak of ([\d.]+) GB"), find(r"([\d.]+) of the prediction")
    return peak / ratio, peak, find(r"([\d.]+) s each")


def in_a_process(folder, config):
    """torch keeps memory that the probe may need."""
    command = [sys.executable, __file__, "make", "--folder", folder, "--config", json.dumps(config)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def shapes(args):
    print(f"{'teacher':<16}{'predicted':>10}{'peak':>10}{'ratio':>7}{'s/step':>8}  flags")
    made = None
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for name, config, flags in SHAPES:
            if args.only and args.only not in name:
                continue
            if made != name:
                in_a_process(folder, config)
                made = name
            predicted, peak, seconds = probe(args.boomerang, folder, flags, args.steps)
            print(
                f"{name:<16}{predicted:>7.2f} GB{peak:>7.2f} GB{peak / predicted:>7.2f}{seconds:>8.2f}  {flags}",
                flush=True,
            )


def scale(args):
    print(f"{'size':<12}{'value':>8}{'predicted':>11}{'peak':>10}{'s/step':>8}")
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for name, values, of_value in SCALE:
            rows = []
            for value in values:
                changes, flags = of_value(value)
                in_a_process(folder, {**SMALL, **changes})
                predicted, peak, seconds = probe(args.boomerang, folder, flags, args.steps)
                rows.append((value, peak, seconds))
                print(f"{name:<12}{value:>8}{predicted:>8.2f} GB{peak:>7.2f} GB{seconds:>8.2f}", flush=True)
            first, last = rows[0], rows[-1]
            slope = lambda index: math.log(last[index] / first[index]) / math.log(last[0] / first[0])
            print(f"{'':<12}{'exponent':>8}{'':>11}{slope(1):>10.2f}{slope(2):>8.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["shapes", "scale", "make"])
    parser.add_argument("--boomerang", default="target/release/boomerang")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--only", help="shapes whose name contains this")
    parser.add_argument("--folder", help="where the teachers are made")
    parser.add_argument("--config", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.what == "make":
        make(args.folder, json.loads(args.config))
    elif args.what == "shapes":
        shapes(args)
    else:
        scale(args)


if __name__ == "__main__":
    main()
