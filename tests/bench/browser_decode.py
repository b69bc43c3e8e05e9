"""How fast a browser decodes with Boomerang, against transformers.js on onnxruntime-web.

Two models with random weights, made from a seed: one of the shape of the embedded teacher
(assets/teacher), one of the shape of SmolLM2-135M. The same 32-bit weights are packed as a bundle for
Boomerang's worker on the CPU, and exported to ONNX for transformers.js. Both are loaded into one
headless Chromium, each in a worker of its own, and take turns: the same prompt, the same number of
tokens, greedy. It prints the medians of tokens/s after the first token and of the milliseconds to the
first token, the median ratio within a round, and whether all engines in f32 generated the same.

--precision names how the bundles store matrices (f32, f16, q8_0), --dtype how the ONNX files do: fp32,
q8 (onnxruntime's dynamic quantization to 8 bits), q4 (onnxruntime-genai, blocks of 4 bits).

  cargo xtask page
  cargo build --release
  python -m venv venv && venv/bin/pip install torch "transformers==4.57.*" optimum-onnx accelerate \\
      "onnxruntime-genai==0.11.*" onnxruntime
  npm install --prefix npm --ignore-scripts @huggingface/transformers@4.3.2
  venv/bin/python tests/bench/browser_decode.py --boomerang target/release/boomerang --npm npm

--engine names a folder that holds engine-cpu_loader.js, dist unless told otherwise. The models go to
--keep and are taken from there the next time; without it they are made anew in a folder that is
deleted. CHROMEDRIVER and CHROMIUM name the two programs if they are not on the path.

Boomerang computes on one thread. transformers.js is measured with one thread, and with as many as
--threads says; the server sends the headers that let a page share memory between threads. It is
measured with two builds of onnxruntime-web: `shipped`, the one that it is bundled with, made for
WebGPU as well, and `plain`, for the CPU alone. --export says what makes the ONNX file: `genai`, the
model builder of onnxruntime-genai (one node for all of attention, one for each norm), or `optimum`.
Browsers compile a program better while it runs, so that the first rounds are not counted (--warm).
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
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
# With how many rounds are counted: short texts are disturbed more by whatever else the machine does.
MODELS = {"teacher": 40, "135M": 8}
RUNTIMES = ["plain", "shipped"]


def config(model):
    """The model's shape; no token ends a text, so that every text has its full length."""
    from transformers import LlamaConfig, Qwen3Config

    if model == "teacher":
        shape = json.loads((ROOT / "assets" / "teacher" / "config.json").read_text())
        for key in ["architectures", "torch_dtype", "bos_token_id", "eos_token_id"]:
            shape.pop(key)
        return Qwen3Config(**shape, bos_token_id=None, eos_token_id=None, initializer_range=0.1)
    return LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
        num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=8192,
        rope_theta=100000.0, rms_norm_eps=1e-5, tie_word_embeddings=True, initializer_range=0.04,
        bos_token_id=None, eos_token_id=None,
    )


def make_checkpoint(model, folder):
    """Random weights, and a tokenizer in whose texts every word names its token: `t17`."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    shape = config(model)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(shape, torch_dtype=torch.float32).save_pretrained(folder)
    words = {f"t{token}": token for token in range(shape.vocab_size)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="t0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="t0").save_pretrained(folder)


# What transformers.js calls the file of a type of weights.
ONNX_FILES = {"fp32": "model", "q8": "model_quantized", "q4": "model_q4"}


def export(checkpoint, folder, exporter, dtype):
    """The checkpoint as transformers.js reads it: one file with a cache of keys and values."""
    import onnx

    if exporter == "genai":
        precision = "int4" if dtype == "q4" else "fp32"
        command = ["-m", "onnxruntime_genai.models.builder", "-i", checkpoint, "-o", folder, "-p", precision, "-e", "cpu"]
        quietly([sys.executable, *command])
    elif dtype == "q4":
        sys.exit("--dtype q4 needs --export genai")
    else:
        from optimum.exporters.onnx import main_export

        main_export(str(checkpoint), str(folder), task="text-generation-with-past", do_validation=False)
    (folder / "onnx").mkdir()
    file = folder / "onnx" / f"{ONNX_FILES[dtype]}.onnx"
    if dtype == "q8":
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(folder / "model.onnx", file, weight_type=QuantType.QInt8)
    else:
        onnx.save(onnx.load(folder / "model.onnx"), file)
    for name in ["config.json", "generation_config.json"]:
        (folder / name).write_bytes((checkpoint / name).read_bytes())


def make(model, folder, args):
    """Checkpoint, bundles and exports of a model, as far as they are not there."""
    checkpoint, student, binary = folder / "teacher", folder / "student", os.path.abspath(args.boomerang)
    if not checkpoint.exists():
        make_checkpoint(model, checkpoint)
    for precision in args.precision:
        bundle = folder / f"bundle-{precision}"
        if not bundle.exists():
            quietly([binary, "prune", "--teacher", checkpoint, "--out", student, "--force"])
            quietly([binary, "bundle", "--teacher", checkpoint, "--student", student, "--precision", precision,
                     "--measure-storing", "false", "--record", "0", "--out", bundle])
    for dtype in args.dtype:
        exported = folder / f"{args.export}-{dtype}"
        if not exported.exists():
            unfinished = folder / f"{exported.name}.part"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            export(checkpoint, unfinished, args.export, dtype)
            unfinished.rename(exported)


def quietly(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command[0]}: {done.stdout}{done.stderr}")


@contextmanager
def served(folders):
    """Serves folders by their names below `/`; gives the address."""

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        extensions_map = {
            ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript",
            ".wasm": "application/wasm", ".json": "application/json", "": "application/octet-stream",
        }

        def translate_path(self, path):
            name, _, rest = path.split("?")[0].lstrip("/").partition("/")
            found = (folders[name] / rest).resolve() if name in folders else Path()
            is_below = name in folders and found.is_relative_to(folders[name].resolve())
            return str(found) if is_below else str(HERE / "nothing")

        def end_headers(self):
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            self.send_header("Cross-Origin-Resource-Policy", "same-origin")
            super().end_headers()

        def do_GET(self):
            if self.path == "/":
                return self.answer(b"<!doctype html><title>decoding</title>", "text/html")
            if self.path in ["/plain.js", "/shipped.js"]:
                script = transformers_script(folders["npm"], self.path.strip("/").split(".")[0])
                return self.answer(script, "text/javascript")
            return super().do_GET()

        def answer(self, body, kind):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()


def transformers_script(npm, runtime):
    """The library; a worker cannot be told where its imports are, so this does it."""
    folder = npm / "@huggingface" / "transformers" / "dist"
    if runtime == "shipped":
        return (folder / "transformers.js").read_bytes()
    script = (folder / "transformers.web.js").read_text()
    script = script.replace('"onnxruntime-web/webgpu"', '"/npm/onnxruntime-web/dist/ort.wasm.min.mjs"')
    return script.replace('"onnxruntime-common"', '"/npm/onnxruntime-common/dist/esm/index.js"').encode()


class Browser:
    """A headless Chromium behind chromedriver."""

    def __init__(self, url):
        command = [os.environ.get("CHROMEDRIVER", "chromedriver"), "--port=0"]
        self.driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.session = None
        started = (line for line in self.driver.stdout if "started successfully on port " in line)
        port = next(started).split("on port ")[1].strip(" .\n")
        self.address = f"http://127.0.0.1:{port}/session"
        options = {"args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage",
        ]}
        if "CHROMIUM" in os.environ:
            options["binary"] = os.environ["CHROMIUM"]
        wanted = {"goog:chromeOptions": options, "timeouts": {"script": 1_800_000}}
        answer = self.ask("", {"capabilities": {"alwaysMatch": wanted}})
        self.session = answer["sessionId"]
        self.version = answer["capabilities"]["browserVersion"]
        self.ask("/url", {"url": url})

    def ask(self, path, body, method="POST"):
        url = f"{self.address}/{self.session}{path}" if self.session else self.address
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            sys.exit(json.load(error)["value"]["message"])

    def call(self, name, *values):
        """What an exported function of browser_decode.js gives."""
        script = (
            "const [name, values, done] = arguments;"
            "import('/bench/browser_decode.js').then(page => page[name](...values))"
            ".then(value => done({value}), error => done({error: String(error?.stack ?? error)}));"
        )
        answer = self.ask("/execute/async", {"script": script, "args": [name, list(values)]})
        if "error" in answer:
            sys.exit(f"in the browser: {answer['error']}")
        return answer["value"]

    def close(self):
        if self.session:
            self.ask("", {}, "DELETE")
        self.driver.terminate()
        self.driver.wait()


def measure(browser, model, args):
    threads = list(dict.fromkeys([1, args.threads]))
    candidates = {}
    for precision in args.precision:
        bundle = f"{model}/bundle-{precision}"
        plan = json.loads((args.keep / bundle / "manifest.json").read_text())
        candidates[f"Boomerang, {precision}"] = ["boomerang", f"/models/{bundle}/", len(plan["student"]["layers"])]
    for dtype in args.dtype:
        for runtime in args.runtime or RUNTIMES:
            for count in threads:
                label = f"transformers.js, {dtype}, {runtime}, {count} thread" + "s" * (count > 1)
                candidates[label] = ["transformers", f"{model}/{args.export}-{dtype}", count, runtime, dtype]
    exact = [label for label in candidates if ", f32" in label or ", fp32" in label]
    for label, parts in candidates.items():
        loaded = browser.call("load", label, parts)
        print(f"  {label:<36} loaded in {loaded / 1000:.1f} s", flush=True)

    vocab = config(model).vocab_size
    n_tokens = min(args.tokens, config(model).max_position_embeddings - args.prompt)
    turns = {label: [] for label in candidates}
    has_parted = False
    rounds = args.rounds or MODELS[model]
    for number in range(args.warm + rounds):
        draw = random.Random(number)
        prompt = [draw.randrange(vocab) for _ in range(args.prompt)]
        texts = {}
        for label in candidates:
            turn = browser.call("decode", label, prompt, n_tokens)
            texts[label] = turn["tokens"]
            if number >= args.warm:
                turns[label].append(turn)
        has_parted |= part({label: texts[label] for label in exact})
    for label in candidates:
        browser.call("end", label)

    speeds = {}
    for label, own in turns.items():
        speeds[label] = [(n_tokens - 1) * 1000 / turn["restMillis"] for turn in own]
        low, middle, high = min(speeds[label]), statistics.median(speeds[label]), max(speeds[label])
        first = statistics.median(turn["firstMillis"] for turn in own)
        print(
            f"  {label:<36} {middle:8.1f} tokens/s   ({low:.1f} to {high:.1f})"
            f"   first token after {first:6.0f} ms", flush=True,
        )
    for ours in speeds:
        if ours.startswith("Boomerang"):
            for other in speeds:
                if other != ours:
                    ratio = statistics.median(a / b for a, b in zip(speeds[ours], speeds[other]))
                    print(f"  {ours} is {ratio:.2f} times as fast as {other}")
    if exact and not has_parted:
        print(f"  in f32 all generated the same {(args.warm + rounds) * n_tokens} tokens")


def part(texts):
    """Whether the texts differ, and says where."""
    if not texts:
        return False
    (first, text), *others = texts.items()
    for label, other in others:
        differing = [position for position, pair in enumerate(zip(text, other)) if pair[0] != pair[1]]
        if len(text) != len(other):
            print(f"  {label} generated {len(other)} tokens, {first} {len(text)}")
        elif differing:
            position = differing[0]
            print(f"  {label} generated {other[position]} at position {position}, {first} {text[position]}")
    return any(other != text for _, other in others)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boomerang", required=True, help="the program, to pack the bundles with")
    parser.add_argument("--npm", type=Path, required=True, help="where npm installed @huggingface/transformers")
    parser.add_argument("--engine", type=Path, default=ROOT / "dist")
    parser.add_argument("--keep", type=Path, help="a folder for the models")
    parser.add_argument("--model", choices=MODELS, action="append", help="both by default")
    parser.add_argument("--export", choices=["genai", "optimum"], default="genai")
    parser.add_argument("--precision", nargs="+", choices=["f32", "f16", "q8_0"], default=["f32", "q8_0"])
    parser.add_argument("--dtype", nargs="+", choices=ONNX_FILES, default=["fp32", "q8"])
    parser.add_argument("--runtime", choices=RUNTIMES, action="append", help="both by default")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--prompt", type=int, default=16, help="tokens of the prompt")
    parser.add_argument("--tokens", type=int, default=48, help="tokens that are decoded")
    parser.add_argument("--warm", type=int, default=4, help="rounds that are not counted")
    parser.add_argument("--rounds", type=int, help="rounds that are counted")
    args = parser.parse_args()
    if not (args.engine / "engine-cpu_loader.js").exists():
        sys.exit(f"{args.engine} holds no engine-cpu_loader.js; `cargo xtask page` builds it")
    with tempfile.TemporaryDirectory() as unkept:
        args.keep = (args.keep or Path(unkept)).resolve()
        chosen = args.model or MODELS
        for model in chosen:
            (args.keep / model).mkdir(parents=True, exist_ok=True)
            make(model, args.keep / model, args)
        npm = args.npm / "node_modules"
        package = lambda name: json.loads((npm / name / "package.json").read_text())["version"]
        folders = {"bench": HERE, "engine": args.engine, "models": args.keep, "npm": npm}
        with served(folders) as url:
            browser = Browser(url)
            try:
                ours = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
                print(f"Boomerang {ours.stdout.strip()}, Chromium {browser.version}, {os.cpu_count()} cores")
                print(f"transformers.js {package('@huggingface/transformers')}, onnxruntime-web {package('onnxruntime-web')}")
                made = {"genai": "onnxruntime-genai", "optimum": "optimum-onnx"}[args.export]
                print(f"ONNX from {made} {version(made)}, transformers {version('transformers')}, torch {version('torch')}")
                for model in chosen:
                    print(f"{model}: prompts of {args.prompt} tokens", flush=True)
                    measure(browser, model, args)
            finally:
                browser.close()


if __name__ == "__main__":
    main()
