"""How long it takes to measure every size of a family.

Three comparisons, each in one run on one machine, every time the median of several rounds in which
the candidates take turns:

  tree      all sizes along shared layers, against one member after another in one process, and
            against a command for each size (first order and last order)
  contexts  the choices of a question sharing its text, against each choice by itself
  reference lm-evaluation-harness on transformers, one patched model after another, as the authors'
            code does it, on the same questions

  python tests/bench/family_eval.py --boomerang target/release/boomerang [--family random24|embedded]

Needs torch, transformers and, for the last comparison, lm_eval==0.4.13. The random family (Qwen3, 24
layers, every second one kept) is made from a seed; the embedded one is assets/teacher and a student
pruned from it.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEACHER = ROOT / "assets" / "teacher"


def random_family(folder, n_layers=24, d_model=256):
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    vocab = json.loads((TEACHER / "config.json").read_text())["vocab_size"]
    config = Qwen3Config(
        vocab_size=vocab, hidden_size=d_model, intermediate_size=3 * d_model,
        num_hidden_layers=n_layers, num_attention_heads=4, num_key_value_heads=2,
        head_dim=d_model // 4, max_position_embeddings=512, tie_word_embeddings=False,
        bos_token_id=1, eos_token_id=3,
    )
    torch.manual_seed(0)
    Qwen3ForCausalLM(config).save_pretrained(folder / "teacher")
    for name in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]:
        if (TEACHER / name).exists():
            shutil.copy(TEACHER / name, folder / "teacher" / name)
    if not (folder / "teacher" / "tokenizer_config.json").exists():
        special = {"bos_token": "<s>", "eos_token": ".", "tokenizer_class": "PreTrainedTokenizerFast"}
        (folder / "teacher" / "tokenizer_config.json").write_text(json.dumps(special))


def questions(folder, n_questions, seed=0):
    """Texts of 40 to 80 words with four choices of 4 to 8 words."""
    vocab = json.loads((TEACHER / "tokenizer.json").read_text())["model"]["vocab"]
    words = sorted(word for word in vocab if word.isalpha())
    draw = random.Random(seed)
    text = lambda low, high: " ".join(draw.choice(words) for _ in range(draw.randint(low, high)))
    with open(folder / "questions.jsonl", "w") as file:
        for _ in range(n_questions):
            row = {"q": text(40, 80), "choices": [text(4, 8) for _ in range(4)], "gold": draw.randrange(4)}
            file.write(json.dumps(row) + "\n")
    (folder / "made_up.yaml").write_text(
        "task: made_up\ndataset_path: json\ndataset_kwargs:\n  data_files:\n"
        f"    test: {folder / 'questions.jsonl'}\ntest_split: test\noutput_type: multiple_choice\n"
        'doc_to_text: "{{q}}"\ndoc_to_choice: choices\ndoc_to_target: gold\n'
        "metric_list:\n  - metric: acc\n  - metric: acc_norm\n"
    )


class Eval:
    """`boomerang eval` with some flags; seconds from start to exit."""

    def __init__(self, binary, folder, flags):
        self.command = [
            binary, "eval", "--teacher", str(folder / "teacher"), "--student", str(folder / "student"),
            "--tasks", str(folder / "made_up.yaml"), "--naive", "false", "--device", "cpu",
            "--out", str(folder / "out"), "--force", *flags,
        ]

    def run(self):
        start = time.perf_counter()
        done = subprocess.run(self.command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        return time.perf_counter() - start


class EvalOfEach:
    """A command for each size."""

    def __init__(self, binary, folder, flags):
        plan = json.loads((folder / "student" / "student_config.json").read_text())
        kept, dropped = plan["copied_teacher_layers"], plan["pruned_teacher_layers"]
        n_layers = len(kept) + len(dropped)
        blocks = [end - start for start, end in zip(kept, kept[1:] + [n_layers])]
        growing = [block - 1 for block in blocks if block > 1]
        order = growing if "first" in flags else growing[::-1]
        sizes = [len(kept) + sum(order[:step]) for step in range(len(order) + 1)]
        self.runs = [Eval(binary, folder, [*flags, "--members", str(size)]) for size in sizes]

    def run(self):
        return sum(run.run() for run in self.runs)


class Reference:
    """Every size patched in transformers and given to lm-evaluation-harness, one after another."""

    def __init__(self, folder, order):
        self.folder, self.order = folder, order

    def run(self):
        script = Path(__file__).resolve()
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, str(script), "--reference-worker", str(self.folder), self.order],
            capture_output=True, text=True,
        )
        if done.returncode != 0:
            sys.exit(done.stderr)
        return time.perf_counter() - start


def reference_worker(folder, order):
    import copy

    import lm_eval
    import torch
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(folder)
    load = lambda name: AutoModelForCausalLM.from_pretrained(folder / name, dtype=torch.float32).eval()
    teacher, student = load("teacher"), load("student")
    tokenizer = AutoTokenizer.from_pretrained(folder / "teacher")
    kept = json.loads((folder / "student" / "student_config.json").read_text())["copied_teacher_layers"]
    n_layers, n_kept = teacher.config.num_hidden_layers, len(kept)
    blocks = [range(layer, end) for layer, end in zip(kept, kept[1:] + [n_layers])]
    places = range(n_kept) if order == "first" else range(n_kept - 1, -1, -1)
    patched, sizes = set(), [set()]
    for place in places:
        if len(blocks[place]) > 1 and patched:
            sizes.append(set(patched))
        patched.add(place)
    sizes.append(patched)
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    for patch in sizes:
        member = copy.copy(student)
        member._modules = dict(student._modules)
        base = copy.copy(student.model)
        base._modules = dict(student.model._modules)
        layers = []
        for place in range(n_kept):
            layers += [teacher.model.layers[i] for i in blocks[place]] if place in patch else [student.model.layers[place]]
        base._modules["layers"] = torch.nn.ModuleList(layers)
        member._modules["model"] = base
        if 0 in patch:
            base._modules["embed_tokens"] = teacher.model.embed_tokens
        if n_kept - 1 in patch:
            base._modules["norm"], member._modules["lm_head"] = teacher.model.norm, teacher.lm_head
        member.config = base.config = copy.deepcopy(teacher.config)
        member.config.num_hidden_layers = len(layers)
        lm = HFLM(pretrained=member, tokenizer=tokenizer, backend="causal", batch_size=16, device="cpu")
        lm_eval.simple_evaluate(lm, tasks=["made_up"], task_manager=manager, bootstrap_iters=0, confirm_run_unsafe_code=False)


def compare(name, candidates, rounds):
    """Medians of turns; the ratios are of the first candidate to the others."""
    times = {label: [] for label, _ in candidates}
    for candidate in candidates:
        candidate[1].run()  # Warms the files.
    for _ in range(rounds):
        for label, candidate in candidates:
            times[label].append(candidate.run())
    medians = {label: statistics.median(own) for label, own in times.items()}
    first = candidates[0][0]
    for label, median in medians.items():
        own = times[label]
        print(f"{name:<16} {label:<28} {median:8.2f} s   ({min(own):.2f} to {max(own):.2f})   x{median / medians[first]:.2f}", flush=True)


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--reference-worker":
        return reference_worker(*sys.argv[2:])
    parser = argparse.ArgumentParser()
    parser.add_argument("--boomerang", required=True)
    parser.add_argument("--family", choices=["random24", "embedded"], default="random24")
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["tree", "contexts", "reference"])
    args = parser.parse_args()
    binary = os.path.abspath(args.boomerang)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        if args.family == "random24":
            random_family(folder)
        else:
            shutil.copytree(TEACHER, folder / "teacher")
            special = {"bos_token": "<s>", "eos_token": ".", "tokenizer_class": "PreTrainedTokenizerFast"}
            (folder / "teacher" / "tokenizer_config.json").write_text(json.dumps(special))
        subprocess.run([binary, "prune", "--teacher", str(folder / "teacher"), "--out", str(folder / "student")], check=True, capture_output=True)
        questions(folder, args.questions)
        ours = lambda *flags: Eval(binary, folder, flags)
        print(f"{args.family}, {args.questions} questions, {os.cpu_count()} cores")
        if args.only in (None, "tree"):
            for order in ["first", "last"]:
                compare(f"tree, {order}", [
                    ("shared layers", ours("--order", order)),
                    ("one after another", ours("--order", order, "--engine", "each")),
                    ("a command for each size", EvalOfEach(binary, folder, ["--order", order])),
                ], args.rounds)
        if args.only in (None, "contexts"):
            compare("contexts", [
                ("shared", ours("--order", "first")),
                ("apart", ours("--order", "first", "--contexts", "apart")),
            ], args.rounds)
        if args.only in (None, "reference"):
            compare("reference", [
                ("boomerang eval", ours("--order", "first")),
                ("transformers and lm_eval", Reference(folder, "first")),
            ], args.rounds)


if __name__ == "__main__":
    main()
