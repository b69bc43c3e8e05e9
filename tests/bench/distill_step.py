"""Times a step of distillation against PyTorch, on the same weights and data, in turns.

    python tests/bench/distill_step.py --boomerang target/release/boomerang --rounds 3

needs torch, transformers and safetensors. The teacher has the shape of SmolLM2-135M and random weights,
the student keeps 16 of its 30 layers. Both run in f32 on the CPU, or with `--device wgpu --torch-device
cuda` on a GPU, with all three loss terms, AdamW and clipping. The loss terms of the first step are compared
before anything is timed. Prints seconds per step, peak memory of the process (on a GPU that of its host,
beside what torch counts on the device), and the ratio of both. Other flags go to `boomerang distill`.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

SHAPE = dict(
    vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
    num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=8192,
    rope_theta=100000.0, rms_norm_eps=1e-5, tie_word_embeddings=True, hidden_act="silu",
)


def make(folder, seq):
    """Writes a teacher and a file of token ids."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SHAPE)).save_pretrained(f"{folder}/teacher")
    generator = torch.Generator().manual_seed(1)
    with open(f"{folder}/data.jsonl", "w") as file:
        for _ in range(16):
            ids = torch.randint(0, SHAPE["vocab_size"], (seq,), generator=generator).tolist()
            file.write(json.dumps({"input_ids": ids}) + "\n")


def run_torch(folder, steps, threads, device):
    """Runs in a process of its own; prints a line of JSON."""
    import copy

    import torch
    import torch.nn.functional as F
    from transformers import LlamaForCausalLM

    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    teacher = LlamaForCausalLM.from_pretrained(f"{folder}/teacher", dtype=torch.float32).eval().to(device)
    plan = json.load(open(f"{folder}/run/student/student_config.json"))
    kept = plan["copied_teacher_layers"]
    student = copy.deepcopy(teacher)
    student.model.layers = torch.nn.ModuleList(student.model.layers[layer] for layer in kept)
    student.config.num_hidden_layers = len(kept)
    student.train()
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    ends = kept[1:] + [SHAPE["num_hidden_layers"]]
    pairs = [(0, 0)] + [(number + 1, end) for number, end in enumerate(ends)]
    named = list(student.named_parameters())
    groups = [
        {"params": [p for _, p in named if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for _, p in named if p.dim() <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=3e-4, betas=(0.9, 0.95), eps=1e-8)
    rows = [json.loads(line)["input_ids"] for line in open(f"{folder}/data.jsonl")]
    seconds, first = [], None
    for step in range(steps):
        started = time.perf_counter()
        ids = torch.tensor([rows[step]], device=device)
        with torch.no_grad():
            expected = teacher(ids, output_hidden_states=True, use_cache=False)
        found = student(ids, output_hidden_states=True, use_cache=False)
        ce = F.cross_entropy(found.logits[0, :-1], ids[0, 1:])
        log_probs = [F.log_softmax(it.logits[0], -1) for it in (found, expected)]
        kl = F.kl_div(*log_probs, log_target=True, reduction="sum") / ids.shape[1]
        distances = [
            1 - F.cosine_similarity(
                found.hidden_states[own][0], expected.hidden_states[other][0], dim=-1
            ).mean()
            for own, other in pairs
        ]
        cosine = sum(distances) / len(pairs)
        (ce + 0.1 * kl + 2 * cosine).backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
        first = first or [ce.item(), kl.item(), cosine.item()]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    on_device = torch.cuda.max_memory_allocated() / 1e9 if device != "cpu" else None
    print(json.dumps({"seconds": seconds, "first": first, "peak": peak / 1e6, "on_device": on_device}))


def run_boomerang(program, folder, steps, seq, device, more):
    command = [
        program, "distill", "--teacher", f"{folder}/teacher", "--data", f"{folder}/data.jsonl",
        "--out", f"{folder}/run", "--force", "--steps", str(steps), "--batch-size", "1",
        "--seq-len", str(seq), "--keep-first", "2", "--keep-last", "1", "--device", device,
    ]
    with open(f"{folder}/log", "w+") as log:
        process = subprocess.Popen(command + more, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            log.seek(0)
            sys.exit(log.read())
    lines = [json.loads(line) for line in open(f"{folder}/run/metrics.jsonl")]
    seconds = [seq / line["tokens_per_second"] for line in lines]
    first = [lines[0][key] for key in ("ce", "kl", "cosine")]
    return {"seconds": seconds, "first": first, "peak": usage.ru_maxrss / 1e6}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boomerang", default="target/release/boomerang")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--seq-len", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu", help="of boomerang")
    parser.add_argument("--torch-device", default="cpu")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="of the first step's loss terms")
    parser.add_argument("--torch", metavar="FOLDER", help=argparse.SUPPRESS)
    args, more = parser.parse_known_args()
    if args.torch:
        run_torch(args.torch, args.steps, args.threads, args.torch_device)
        return
    with tempfile.TemporaryDirectory() as folder:
        make(folder, args.seq_len)
        found = {"boomerang": [], "torch": []}
        for _ in range(args.rounds):
            ours = run_boomerang(args.boomerang, folder, args.steps, args.seq_len, args.device, more)
            command = [
                sys.executable, __file__, "--torch", folder, "--steps", str(args.steps),
                "--torch-device", args.torch_device,
            ]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            theirs = json.loads(output.splitlines()[-1])
            for own, other in zip(ours["first"], theirs["first"]):
                assert abs(own - other) < args.tolerance * max(1, abs(other)), (ours, theirs)
            # The first step of both is slower: memory is touched for the first time.
            for name, it in (("boomerang", ours), ("torch", theirs)):
                found[name].append((statistics.mean(it["seconds"][1:]), it["peak"]))
        for name, rounds in found.items():
            times = [seconds for seconds, _ in rounds]
            print(
                f"{name:<10} {statistics.mean(times):6.2f} s/step "
                f"({min(times):.2f} to {max(times):.2f}), peak {max(p for _, p in rounds):.2f} GB"
            )
        ratios = [t[0] / b[0] for b, t in zip(found["boomerang"], found["torch"])]
        print(
            f"boomerang is {statistics.mean(ratios):.2f} times as fast as torch "
            f"({min(ratios):.2f} to {max(ratios):.2f}); loss terms agree to {args.tolerance}"
        )
        if theirs["on_device"]:
            print(f"torch has at most {theirs['on_device']:.2f} GB on its device")


if __name__ == "__main__":
    main()
