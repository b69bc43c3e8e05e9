"""Everything that distillation on a GPU has to show, in one run.

    cargo build --release --package boomerang-native-trainer --bin boomerang
    python tests/bench/gpu.py --boomerang target/release/boomerang --out gpu

needs torch (with CUDA for the comparison), transformers, and for memory on the device nvidia-smi. In this
order, each part printed when it is done and kept in OUT/results.json:

1. losses and gradient norms of 20 steps against the CPU
2. losses of 20 steps, and seconds per step, in bf16 and in f16 against f32, where the device has them
3. seconds per step beside PyTorch on the same GPU, same weights and data (distill_step.py)
4. Qwen3-0.6B's shape with random weights: 200 steps of 1 x 2,048 tokens; tokens per second, the most memory
   that nvidia-smi saw against the prediction, and whether it grew between steps 20 and 200
5. with --teacher and --data: a student of that model, distilled on --tokens tokens, and the curve of its family

`--smoke` makes all sizes small and leaves out the third part, for a software adapter.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(__file__))
from memory import LLAMA, QWEN3, in_a_process, write_ids

TINY = dict(
    vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=6, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16,
)


class DeviceMemory:
    """The most memory of the first GPU in use, in GB, sampled every half second."""

    def __enter__(self):
        self.before, self.most, self.samples, self.is_done = used(), 0.0, [], False
        self.thread = threading.Thread(target=self.sample, daemon=True)
        self.thread.start()
        return self

    def sample(self):
        while not self.is_done and self.before is not None:
            now = (used() or self.before) - self.before
            self.samples.append((time.time(), now))
            self.most = max(self.most, now)
            time.sleep(0.5)

    def __exit__(self, *_):
        self.is_done = True
        self.thread.join()


def used():
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return float(output.splitlines()[0]) * 1.048576e-3


def boomerang(args, *words):
    done = subprocess.run([args.boomerang, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"boomerang {' '.join(map(str, words))}\n{done.stderr}")
    return done.stdout


def metrics(run):
    return [json.loads(line) for line in open(f"{run}/metrics.jsonl")]


def distill(args, folder, run, device, steps, seq, *more):
    boomerang(
        args, "distill", "--teacher", f"{folder}/teacher", "--data", f"{folder}/data.jsonl", "--out", run,
        "--force", "--device", device, "--steps", steps, "--batch-size", 1, "--seq-len", seq,
        "--save-every", steps, *more,
    )
    return metrics(run)


def against_the_cpu(args):
    folder = f"{args.out}/small"
    in_a_process(folder, {**LLAMA, **TINY} if args.smoke else {**LLAMA, "num_hidden_layers": 8})
    seq = 32 if args.smoke else 256
    write_ids(folder, seq)
    gpu, cpu = (distill(args, folder, f"{folder}/{it}", it, 20, seq) for it in (args.device, "cpu"))
    worst = {
        key: max(abs(g[key] - c[key]) / max(1.0, abs(c[key])) for g, c in zip(gpu, cpu))
        for key in ("loss", "grad_norm")
    }
    assert worst["loss"] < 2e-3, worst
    return worst


def half_precision(args):
    folder, seq = f"{args.out}/small", 32 if args.smoke else 256
    exact = distill(args, folder, f"{folder}/f32", args.device, 20, seq)
    found = {}
    for dtype in ("bf16", "f16"):
        try:
            half = distill(
                args, folder, f"{folder}/{dtype}", args.device, 20, seq, "--mixed-precision", dtype
            )
        except SystemExit as refusal:
            found[dtype] = str(refusal).splitlines()[-1]
            continue
        speeds = [sorted(line["tokens_per_second"] for line in lines)[10] for lines in (half, exact)]
        found[dtype] = {
            "largest_difference": max(abs(h["loss"] - e["loss"]) / e["loss"] for h, e in zip(half, exact)),
            "speed": speeds[0] / speeds[1],
        }
        assert found[dtype]["largest_difference"] < 5e-2, found
    return found


def beside_torch(args):
    if args.smoke:
        return "left out: --smoke"
    script = os.path.join(os.path.dirname(__file__), "distill_step.py")
    command = [
        sys.executable, script, "--boomerang", args.boomerang, "--device", args.device,
        "--torch-device", args.torch_device, "--rounds", 3, "--tolerance", 1e-3, "--steps", 8,
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    return done.stdout.splitlines() if done.returncode == 0 else f"failed: {done.stderr[-2000:]}"


def large(args):
    folder, steps = f"{args.out}/qwen3-0.6b", 10 if args.smoke else 200
    in_a_process(folder, {**QWEN3, **TINY} if args.smoke else QWEN3)
    seq = 64 if args.smoke else 2048
    write_ids(folder, seq)
    plan = boomerang(
        args, "distill", "--teacher", f"{folder}/teacher", "--data", f"{folder}/data.jsonl",
        "--out", f"{folder}/run", "--device", args.device, "--batch-size", 1, "--seq-len", seq, "--dry-run",
    )
    predicted = float(re.search(r"peak +([\d.]+) GB", plan).group(1))
    gflop = float(re.search(r"([\d.]+) GFLOP a token", plan).group(1))
    with DeviceMemory() as memory:
        lines = distill(args, folder, f"{folder}/run", args.device, steps, seq)
    speed = sorted(line["tokens_per_second"] for line in lines[len(lines) // 10 :])[len(lines) // 2]
    early, late = (
        [used for _, used in memory.samples[int(len(memory.samples) * a) : int(len(memory.samples) * b)]]
        for a, b in ((0.2, 0.4), (0.8, 1.0))
    )
    return {
        "steps": len(lines), "tokens_per_second": speed, "tflop_per_second": speed * gflop / 1e3,
        "predicted_gb": predicted, "device_gb": memory.most or None,
        "grown_gb": max(late, default=0) - max(early, default=0), "first_loss": lines[0]["loss"],
        "last_loss": lines[-1]["loss"],
    }


def family(args):
    if not args.teacher:
        return "left out: no --teacher"
    run, batch = f"{args.out}/family", 8
    steps = max(1, args.tokens // (batch * 4 * args.seq_len))
    boomerang(
        args, "distill", "--teacher", args.teacher, "--data", args.data, "--out", run, "--force",
        "--device", args.device, "--steps", steps, "--batch-size", batch, "--micro-batches", 4,
        "--seq-len", args.seq_len, "--keep-first", 2, "--keep-last", 1, "--cosine-weight", 10, "--lr", 1e-3,
    )
    boomerang(
        args, "eval", "--teacher", args.teacher, "--student", f"{run}/student", "--data", args.held_out,
        "--out", f"{args.out}/curve", "--force", "--device", args.device,
    )
    lines = metrics(run)
    return {"tokens": lines[-1]["tokens"], "last_loss": lines[-1]["loss"], "curve": f"{args.out}/curve"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--boomerang", default="target/release/boomerang")
    parser.add_argument("--out", required=True)
    parser.add_argument("--device", default="wgpu", choices=["wgpu", "cuda"])
    parser.add_argument("--torch-device", default="cuda")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--teacher", help="a model folder, such as SmolLM2-135M")
    parser.add_argument("--data", help="its training texts")
    parser.add_argument("--held-out", help="texts for the curve")
    parser.add_argument("--tokens", type=int, default=20_000_000)
    parser.add_argument("--seq-len", type=int, default=1024)
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    results = {"device": boomerang(args, "doctor").splitlines()}
    for name, part in (
        ("against the CPU", against_the_cpu), ("half precision", half_precision),
        ("beside PyTorch", beside_torch), ("Qwen3-0.6B's shape", large), ("a family", family),
    ):
        results[name] = part(args)
        print(f"{name}: {json.dumps(results[name], indent=1)}", flush=True)
        with open(f"{args.out}/results.json", "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
