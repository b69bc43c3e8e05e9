"""Times decoding and prompts against llama.cpp, on the same files, in turns.

    python tests/bench/decode.py --boomerang target/release/boomerang f32.gguf f16.gguf q8_0.gguf

needs llama-cpp-python and numpy. The files are one model in several formats, as `boomerang export --dtype`
writes them; each is run by `boomerang generate --weights stored` and by llama.cpp with 1 and 2 threads:
`--tokens` greedy tokens after a short prompt, and a prompt of `--prompt-tokens`, each a process of its own.
Both have to generate the same tokens from a file in f32. Prints the medians, the ratio of both with the
range over the rounds, and the bandwidth at which weights were read, beside that of the memory as numpy
reads and copies it. Prefetching makes more of it than numpy does. Last the peak memory while decoding,
with the program's own code, against the size of the file. `--kl f32.gguf` first compares the
predictions of narrower formats.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

SHORT = "The sea was"
TEXT = (
    "The harbour had been quiet since the morning, and nobody could say why the boats stayed where they "
    "were. A teacher from the school on the hill came down to ask, with two children and a dog. "
)
OTHER = __doc__ + (
    "A model in eight bits keeps a scale for every thirty-two weights, and rounds each of them to one of "
    "255 multiples of it. What it loses is seen in its predictions: how far the distribution over the next "
    "token moves, on average, from that of the weights before rounding. A few thousandths of a nat are less "
    "than what a change of the prompt's wording does, and more than sixteen bits lose. The sea was calm, "
    "and in the town the shops opened one after another, as they did on every other morning of that year. "
)


def timed_llama(file, prompt, n_tokens, threads):
    """Runs in a process of its own; prints a line of JSON."""
    import llama_cpp
    import numpy

    model = llama_cpp.Llama(
        file, n_ctx=1024, n_batch=1024, n_ubatch=1024, n_threads=threads, n_threads_batch=threads,
        verbose=False,
    )
    tokens = model.tokenize(prompt.encode(), add_bos=False, special=True)
    logits = llama_cpp.llama_get_logits

    def next_token():
        found = numpy.ctypeslib.as_array(logits(model.ctx), shape=(model.n_vocab(),))
        return int(found.argmax())

    started = time.perf_counter()
    model.eval(tokens)
    found = [next_token()]
    prompt_seconds = time.perf_counter() - started
    started = time.perf_counter()
    while len(found) < n_tokens:
        model.eval(found[-1:])
        found.append(next_token())
    seconds = time.perf_counter() - started
    speed = {"prompt": len(tokens) / prompt_seconds, "decoding": (len(found) - 1) / max(seconds, 1e-9)}
    print(json.dumps({"n_prompt": len(tokens), "tokens": found, "speed": speed}))


def run_llama(_, file, prompt, n_tokens, threads):
    command = [sys.executable, __file__, "--llama", file, prompt, str(n_tokens), str(threads)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def run_boomerang(program, file, prompt, n_tokens, threads):
    command = [
        program, "generate", "--model", file, "--prompt", prompt, "--tokens", str(n_tokens), "--ids",
        "--weights", "stored", "--timings", "--device", "cpu",
    ]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    with tempfile.TemporaryFile("w+") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)
        tokens = [int(token) for token in process.stdout.read().split()]
        _, status, used = os.wait4(process.pid, 0)
        stderr.seek(0)
        told = stderr.read()
    assert status == 0, told
    found = re.findall(r"(prompt|decoding): (\d+) tokens in \S+ s, (\S+) tokens/s", told)
    speed = {what: float(speed) for what, _, speed in found}
    # Linux counts in kB.
    return {"n_prompt": int(found[0][1]), "tokens": tokens, "speed": speed, "peak": 1024 * used.ru_maxrss}


def memory_bandwidth(threads):
    """GB/s at which large arrays are read or copied."""
    import threading

    import numpy

    arrays = [numpy.ones(1 << 25, dtype=numpy.float32) for _ in range(threads)]
    targets = [numpy.empty_like(array) for array in arrays]
    ways = {1: lambda index: arrays[index].dot(arrays[index]),
            2: lambda index: numpy.copyto(targets[index], arrays[index])}
    best = 0
    for n_passes, way in list(ways.items()) * 5:
        team = [threading.Thread(target=way, args=(index,)) for index in range(threads)]
        started = time.perf_counter()
        for thread in team:
            thread.start()
        for thread in team:
            thread.join()
        seconds = time.perf_counter() - started
        best = max(best, n_passes * threads * arrays[0].nbytes / seconds / 1e9)
    return best


def logits(program, file, ids, weights):
    """The logits of `boomerang trace`, in f64."""
    import numpy

    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/trace.safetensors"
        command = [
            program, "trace", "--model", file, "--ids", ",".join(map(str, ids)), "--weights", weights,
            "--out", out, "--device", "cpu",
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with open(out, "rb") as stored:
            n_header = int.from_bytes(stored.read(8), "little")
            entry = json.loads(stored.read(n_header))["logits"]
            start, end = entry["data_offsets"]
            stored.seek(8 + n_header + start)
            values = numpy.frombuffer(stored.read(end - start), dtype="<f4")
    return values.reshape(entry["shape"]).astype("f8")


def print_divergence(program, file, n_tokens):
    """How far narrower formats of a file in f32 are from it."""
    import llama_cpp
    import numpy

    model = llama_cpp.Llama(file, vocab_only=True, verbose=False)
    ids = model.tokenize(OTHER.encode(), add_bos=False, special=True)[:n_tokens]

    def log_softmax(x):
        x = x - x.max(-1, keepdims=True)
        return x - numpy.log(numpy.exp(x).sum(-1, keepdims=True))

    expected = log_softmax(logits(program, file, ids, "f32"))
    for weights in ("f16", "bf16", "q8_0"):
        found = log_softmax(logits(program, file, ids, weights))
        kl = (numpy.exp(expected) * (expected - found)).sum(-1)
        same = (expected.argmax(-1) == found.argmax(-1)).mean()
        print(
            f"{weights:<5} KL from f32 {kl.mean():.2e} nats/token (largest {kl.max():.1e}), same most "
            f"likely token at {same:.1%} of {len(ids)} positions"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boomerang", default="target/release/boomerang")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--prompt-tokens", type=int, default=700)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--kl", metavar="GGUF", help="a file in f32, to compare narrower formats with it")
    parser.add_argument("--llama", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="*", metavar="GGUF")
    args = parser.parse_args()
    if args.llama:
        file, prompt, n_tokens, threads = args.llama
        return timed_llama(file, prompt, int(n_tokens), int(threads))
    if args.kl:
        print_divergence(args.boomerang, args.kl, 256)
    # A sentence has 37 tokens or so; what counts is what both programs count.
    long = TEXT * max(1, args.prompt_tokens // 39)
    tasks = {"decoding": (SHORT, args.tokens), "prompt": (long, 1)}
    programs = {"boomerang": run_boomerang, "llama.cpp": run_llama}
    speeds, peaks = {}, {}
    for _ in range(args.rounds):
        for threads in args.threads:
            for file in args.files:
                for what, (prompt, n_tokens) in tasks.items():
                    found = {
                        name: run(args.boomerang, file, prompt, n_tokens, threads)
                        for name, run in programs.items()
                    }
                    ours, theirs = found["boomerang"], found["llama.cpp"]
                    assert ours["n_prompt"] == theirs["n_prompt"], (ours["n_prompt"], theirs["n_prompt"])
                    assert len(ours["tokens"]) == n_tokens, "the model ended the text; use another one"
                    if "f32" in os.path.basename(file).lower():
                        assert ours["tokens"] == theirs["tokens"], f"{file}: other tokens"
                    if what == "decoding":
                        peaks[file] = max(peaks.get(file, 0), ours["peak"])
                    pair = (ours["speed"][what], theirs["speed"][what])
                    speeds.setdefault((threads, what, file), []).append(pair)
    bandwidth = {threads: memory_bandwidth(threads) for threads in args.threads}
    if not speeds:
        return
    print("medians in tokens/s; a prompt has", ours["n_prompt"], "tokens")
    for (threads, what, file), pairs in speeds.items():
        ours, theirs = (statistics.median(speed) for speed in zip(*pairs))
        ratios = sorted(own / other for own, other in pairs)
        line = (
            f"{threads} threads, {what:<8} {os.path.basename(file):<16} boomerang {ours:7.1f}  "
            f"llama.cpp {theirs:7.1f}  ratio {statistics.median(ratios):.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
        if what == "decoding":
            read = ours * os.path.getsize(file) / 1e9
            line += f"  {read:.1f} GB/s of weights, memory {bandwidth[threads]:.1f}"
        print(line)
    for file, peak in peaks.items():
        ratio = peak / os.path.getsize(file)
        print(f"{os.path.basename(file)}: peak memory {peak / 1e6:.0f} MB, {ratio:.2f} times the file")


if __name__ == "__main__":
    main()
