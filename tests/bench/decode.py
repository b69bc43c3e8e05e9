"""Times decoding and prompts against llama.cpp, on the same files, in turns.

    python tests/bench/decode.py --boomerang target/release/boomerang f32.gguf f16.gguf q8_0.gguf

needs numpy and llama-cpp-python, or with `--peer xllamacpp` the package of that name, which is another build
of llama.cpp. The files are one model in several formats, as `boomerang export --dtype`
writes them; each is run by `boomerang generate --weights stored` and by llama.cpp with 1 and 2 threads:
`--tokens` greedy tokens after a short prompt, and a prompt of `--prompt-tokens`, each a process of its own.
Both have to generate the same text from a file in f32. Prints the medians, the ratio of both with the
range over the rounds, and the bandwidth at which weights were read, beside that of the memory as numpy
reads and copies it. Prefetching makes more of it than numpy does. Last the peak memory while decoding,
with the program's own code, against the size of the file; of llama.cpp without what Python takes before
it. `--kl f32.gguf` first compares the predictions of narrower formats (llama-cpp-python tokenizes).
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

MARK = "found: "
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


def resident(which):
    """Bytes of this process: `VmRSS` now, or `VmHWM` at most so far."""
    with open("/proc/self/status") as status:
        return 1024 * int(re.search(rf"{which}:\s+(\d+)", status.read()).group(1))


def n_context(prompt, n_tokens):
    """No more positions than the text can take, so that both programs keep as many."""
    return 256 if len(prompt) + n_tokens < 250 else 1024


def timed_llama_cpp(file, prompt, n_tokens, threads):
    import llama_cpp
    import numpy

    before, size = resident("VmRSS"), n_context(prompt, n_tokens)
    model = llama_cpp.Llama(
        file, n_ctx=size, n_batch=size, n_ubatch=size, n_threads=threads, n_threads_batch=threads,
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
    text = model.detokenize(found, prev_tokens=tokens, special=True).decode(errors="replace")
    return {"n_prompt": len(tokens), "text": text, "speed": speed, "peak": resident("VmHWM") - before}


def timed_xllamacpp(file, prompt, n_tokens, threads):
    import xllamacpp

    before, size = resident("VmRSS"), n_context(prompt, n_tokens)
    params = xllamacpp.CommonParams()
    params.model.path, params.n_parallel, params.warmup = file, 1, True
    params.n_ctx = params.n_batch = params.n_ubatch = size
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(params)
    answer = server.handle_completions(
        {"prompt": prompt, "n_predict": n_tokens, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
    )
    times = answer["timings"]
    return {
        "n_prompt": times["prompt_n"],
        "text": answer["choices"][0]["text"],
        "speed": {"prompt": times["prompt_per_second"], "decoding": times["predicted_per_second"]},
        "peak": resident("VmHWM") - before,
    }


PEERS = {"llama-cpp-python": timed_llama_cpp, "xllamacpp": timed_xllamacpp}


def run_llama(peer, file, prompt, n_tokens, threads):
    """In a process of its own, which writes a line of JSON."""
    command = [sys.executable, __file__, "--llama", peer, file, prompt, str(n_tokens), str(threads)]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    assert run.returncode == 0, run.stderr
    return next(json.loads(line[len(MARK):]) for line in run.stdout.splitlines() if line.startswith(MARK))


def run_boomerang(program, file, prompt, n_tokens, threads):
    command = [
        program, "generate", "--model", file, "--prompt", prompt, "--tokens", str(n_tokens),
        "--weights", "stored", "--timings", "--device", "cpu",
    ]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    with tempfile.TemporaryFile("w+") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)
        text = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        stderr.seek(0)
        told = stderr.read()
    assert status == 0, told
    found = re.findall(r"(prompt|decoding): (\d+) tokens in \S+ s, (\S+) tokens/s", told)
    speed = {what: float(speed) for what, _, speed in found}
    # Linux counts in kB.
    n_tokens = 1 + sum(int(n) for what, n, _ in found if what == "decoding")
    return {"n_prompt": int(found[0][1]), "n_tokens": n_tokens, "text": text, "speed": speed,
            "peak": 1024 * used.ru_maxrss}


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
    parser.add_argument("--peer", choices=list(PEERS), default="llama-cpp-python")
    parser.add_argument("--llama", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="*", metavar="GGUF")
    args = parser.parse_args()
    if args.llama:
        peer, file, prompt, n_tokens, threads = args.llama
        print(MARK + json.dumps(PEERS[peer](file, prompt, int(n_tokens), int(threads))), flush=True)
        return
    if args.kl:
        print_divergence(args.boomerang, args.kl, 256)
    # A sentence has 37 tokens or so; what counts is what both programs count.
    long = TEXT * max(1, args.prompt_tokens // 39)
    tasks = {"decoding": (SHORT, args.tokens), "prompt": (long, 1)}
    programs = {"boomerang": (run_boomerang, args.boomerang), "llama.cpp": (run_llama, args.peer)}
    speeds, peaks = {}, {}
    for _ in range(args.rounds):
        for threads in args.threads:
            for file in args.files:
                for what, (prompt, n_tokens) in tasks.items():
                    found = {
                        name: run(which, file, prompt, n_tokens, threads)
                        for name, (run, which) in programs.items()
                    }
                    ours, theirs = found["boomerang"], found["llama.cpp"]
                    assert ours["n_prompt"] == theirs["n_prompt"], (ours["n_prompt"], theirs["n_prompt"])
                    assert ours["n_tokens"] == n_tokens, "the model ended the text; use another one"
                    if "f32" in os.path.basename(file).lower():
                        texts = ours["text"].strip(), theirs["text"].strip()
                        assert texts[0] == texts[1], f"{file}: {texts[0]!r} against {texts[1]!r}"
                    if what == "decoding":
                        peaks.setdefault(file, []).append((ours["peak"], theirs["peak"]))
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
    for file, pairs in peaks.items():
        size = os.path.getsize(file)
        ours, theirs = (f"{peak / 1e6:.0f} MB ({peak / size:.2f} times the file)" for peak in map(max, zip(*pairs)))
        print(f"{os.path.basename(file)}: peak memory {ours}, llama.cpp {theirs}")


if __name__ == "__main__":
    main()
