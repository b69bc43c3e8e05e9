"""Tokenizing texts: `boomerang data prepare` and `datasets.map`, in turns, on the same file.

    cargo build --release --package boomerang-native-trainer --bin boomerang --no-default-features
    python tests/bench/prepare.py --boomerang target/release/boomerang --model MODEL --data texts.jsonl

needs datasets and transformers; MODEL is a model's folder with tokenizer.json, texts.jsonl has "text". `datasets` maps in batches with as many processes as there are cores, and writes its own arrow file.
Both have to give the same number of tokens; the ratio is printed with its spread.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time


def with_datasets(args, n_processes):
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import datasets
    from transformers import AutoTokenizer

    datasets.disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    data = datasets.load_dataset("json", data_files=args.data, split="train")
    start = time.perf_counter()
    out = data.map(
        lambda batch: {"input_ids": tokenizer(batch["text"])["input_ids"]},
        batched=True, remove_columns=data.column_names, num_proc=n_processes, load_from_cache_file=False,
    )
    seconds = time.perf_counter() - start
    return seconds, sum(len(ids) for ids in out.with_format("numpy")["input_ids"])


def with_boomerang(args):
    folder = tempfile.mkdtemp()
    command = [args.boomerang, "data", "prepare", args.data, "--model", args.model, "--out", f"{folder}/tokens"]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    manifest = json.load(open(f"{folder}/tokens/manifest.json"))
    shutil.rmtree(folder)
    n_ends = manifest["n_documents"] if manifest["end_token"] is not None else 0
    return seconds, manifest["n_tokens"] - n_ends


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--boomerang", default="target/release/boomerang")
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    n_processes = os.cpu_count()
    ratios = []
    for number in range(args.rounds):
        (theirs, n_theirs), (ours, n_ours) = with_datasets(args, n_processes), with_boomerang(args)
        assert n_theirs == n_ours, (n_theirs, n_ours)
        ratios.append(theirs / ours)
        print(
            f"round {number + 1}: {n_ours} tokens; boomerang {ours:.2f} s ({n_ours / ours / 1e6:.2f} M/s), "
            f"datasets {theirs:.2f} s ({n_theirs / theirs / 1e6:.2f} M/s)", flush=True,
        )
    ratios.sort()
    print(
        f"boomerang is {ratios[len(ratios) // 2]:.2f} times as fast as datasets.map with {n_processes} "
        f"processes ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


if __name__ == "__main__":
    main()
