"""Speculative decoding by the sizes of a family: tokens accepted, and speed beside decoding without a draft.

    python tests/bench/drafts.py --boomerang target/release/boomerang --teacher TEACHER --student run/student \\
        --order order.json --layers 16 24 --itself

Writes these sizes with `boomerang patch`, and lets each, and with `--itself` the teacher, draft in 8 bits
(`boomerang generate --draft`) for the teacher, whose weights are kept in `--weights`. Greedy text after ten
prompts, with and without a draft in turns; the tokens have to be the same. Prints a row for each size: share of
drafted tokens that the teacher accepted, how many were drafted, tokens/s of both and their ratio. Fewer are
drafted, or none, as far as the program finds that faster.
"""

import argparse
import glob
import re
import subprocess
import tempfile

PROMPTS = [
    "The sea was calm and",
    "There are many things to know about the wind. First,",
    "A list of fruits: apple,",
    "The history of the town begins with",
    "To bake bread, you need",
    "Once upon a time there was a child who",
    "The most important rule of the game is",
    "In the year 1905 a scientist",
    "def fibonacci(n):",
    "Dear Sir or Madam,",
]


def generate(args, prompt, draft=None):
    command = [args.boomerang, "generate", "--model", args.teacher, "--weights", args.weights, "--device", "cpu",
               "--prompt", prompt, "--tokens", str(args.tokens), "--ids", "--timings"]
    if draft:
        command += ["--draft", draft]
        command += ["--draft-tokens", str(args.draft_tokens)] if args.draft_tokens else []
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    n, seconds = re.search(r"decoding: (\d+) tokens in ([\d.]+) s", run.stderr).groups()
    accepted = re.search(r"draft: (\d+) of (\d+) tokens accepted", run.stderr)
    return run.stdout, int(n), float(seconds), [int(count) for count in accepted.groups()] if accepted else [0, 0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--boomerang", default="target/release/boomerang")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--student", help="for --layers")
    parser.add_argument("--order", default="last")
    parser.add_argument("--layers", type=int, nargs="*", default=[])
    parser.add_argument("--itself", action="store_true", help="the teacher drafts for itself, too")
    parser.add_argument("--weights", default="f32")
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--draft-tokens", type=int, help="at most so many at a time")
    args = parser.parse_args()

    drafts = {"itself": args.teacher} if args.itself else {}
    if args.layers:
        folder = tempfile.mkdtemp()
        subprocess.run(
            [args.boomerang, "patch", "--teacher", args.teacher, "--student", args.student, "--order", args.order,
             "--all", "--format", "recipe", "--out", folder, "--force"], check=True, capture_output=True,
        )
        drafts |= {layers: glob.glob(f"{folder}/layers-*{layers}.recipe.json")[0] for layers in args.layers}
    print("layers  accepted  drafted  tokens/s alone  with the draft  ratio")
    for layers, draft in drafts.items():
        (n_alone, alone), (n_with, drafted), counts = (0, 0.0), (0, 0.0), [0, 0]
        for prompt in PROMPTS:
            text, n, seconds, _ = generate(args, prompt)
            n_alone, alone = n_alone + n, alone + seconds
            same, n, seconds, found = generate(args, prompt, draft)
            n_with, drafted = n_with + n, drafted + seconds
            assert text == same, (prompt, text, same)
            counts = [a + b for a, b in zip(counts, found)]
        speeds = n_alone / alone, n_with / drafted
        print(f"{layers:>6}  {100 * counts[0] / max(counts[1], 1):>6.1f} %  {counts[1]:>7}  {speeds[0]:>14.1f}  "
              f"{speeds[1]:>14.1f}  {speeds[1] / speeds[0]:>5.2f}  ({n_with} tokens, all the same)", flush=True)


if __name__ == "__main__":
    main()
