// transformers.js in a worker of its own, for browser_decode.js.

/// What onnxruntime-web is built as.
const BUILDS = { plain: "ort-wasm-simd-threaded", shipped: "ort-wasm-simd-threaded.asyncify" };

let library, model;

self.onmessage = async ({ data }) => {
  try {
    self.postMessage({ value: data.load ? await load(data.load) : await decode(data.decode) });
  } catch (error) {
    self.postMessage({ error: String(error?.stack ?? error) });
  }
};

async function load({ model: name, nThreads, runtime, dtype }) {
  if (nThreads > 1 && !self.crossOriginIsolated) throw new Error("no memory is shared here");
  library = await import(`/${runtime}.js`);
  const { env, AutoModelForCausalLM } = library;
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.localModelPath = "/models/";
  env.useBrowserCache = false;
  env.useWasmCache = false;
  const wasm = env.backends.onnx.wasm;
  const part = (kind) => `${self.location.origin}/npm/onnxruntime-web/dist/${BUILDS[runtime]}.${kind}`;
  wasm.wasmPaths = { mjs: part("mjs"), wasm: part("wasm") };
  wasm.numThreads = nThreads;
  model = await AutoModelForCausalLM.from_pretrained(name, { device: "wasm", dtype });
  return true;
}

async function decode({ prompt, nTokens }) {
  const row = (values) => new library.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
  const times = [];
  const tokens = [];
  const streamer = new library.BaseStreamer();
  streamer.put = ([told]) => {
    times.push(performance.now());
    tokens.push(...told.map(Number));
  };
  streamer.end = () => {};
  const start = performance.now();
  await model.generate({
    inputs: row(prompt),
    attention_mask: row(prompt.map(() => 1)),
    max_new_tokens: nTokens,
    do_sample: false,
    streamer,
  });
  // The prompt is told first.
  const [, first] = times;
  const last = times[times.length - 1];
  return { tokens: tokens.slice(prompt.length), firstMillis: first - start, restMillis: last - first };
}
