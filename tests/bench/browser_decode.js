// The page of browser_decode.py: engines by their names, each a worker of its own, asked in turns.

const engines = new Map();

/// Starts an engine with a model; gives the milliseconds until it can decode.
export async function load(name, [kind, ...values]) {
  const start = performance.now();
  const engine = kind === "boomerang" ? new Boomerang() : new Transformers();
  engines.set(name, engine);
  await engine.load(...values);
  return performance.now() - start;
}

/// Continues a prompt with the likeliest tokens: { tokens, firstMillis, restMillis }.
export function decode(name, prompt, nTokens) {
  return engines.get(name).decode(prompt, nTokens);
}

export function end(name) {
  engines.get(name).worker.terminate();
  engines.delete(name);
}

/// A worker, and who waits for what it says.
class Engine {
  constructor(script) {
    this.worker = new Worker(script, { type: "module" });
    this.listeners = new Set();
    this.worker.onmessage = ({ data }) => this.listeners.forEach((listener) => listener(data));
    this.worker.onerror = (event) => this.fail?.(new Error(event.message ?? "the worker did not load"));
  }

  /// Resolves with the first thing but undefined that `hear` makes of a message.
  until(hear) {
    return new Promise((resolve, reject) => {
      const settle = (how, value) => {
        this.listeners.delete(listener);
        how(value);
      };
      const listener = (message) => {
        try {
          const heard = hear(message);
          if (heard !== undefined) settle(resolve, heard);
        } catch (error) {
          settle(reject, error);
        }
      };
      this.fail = (error) => settle(reject, error);
      this.listeners.add(listener);
    });
  }
}

/// The worker of the explorer; what is said to it is in web/engine/src/messages.rs.
class Boomerang extends Engine {
  constructor() {
    super("/engine/engine-cpu_loader.js");
    this.nTexts = 0;
  }

  async load(bundle, nStudentLayers) {
    this.patch = Array(nStudentLayers).fill(true);
    await this.hear((reply) => reply.Ready);
    const url = new URL(`${bundle}manifest.json`, location.href).href;
    const manifest = await (await fetch(url)).text();
    this.send({ Load: { manifest_url: url, manifest } });
    await this.hear((reply) => (reply === "Loaded" ? true : undefined));
  }

  async decode(prompt, nTokens) {
    const id = ++this.nTexts;
    const text = prompt.map((token) => `t${token}`).join(" ");
    const tokens = [];
    const answer = this.hear((reply) => {
      if (reply.Started) expect(prompt, reply.Started.prompt_tokens);
      if (reply.Token) tokens.push(reply.Token.token);
      return reply.Done?.report;
    });
    this.send({ Generate: { id, patch: this.patch, prompt: text, n_tokens: nTokens, sampling: "greedy" } });
    const report = await answer;
    return { tokens, firstMillis: report.first_millis, restMillis: report.rest_millis };
  }

  send(request) {
    this.worker.postMessage(JSON.stringify(request));
  }

  hear(take) {
    return this.until((message) => {
      const reply = JSON.parse(message);
      const failed = reply.Failed ?? reply.LoadFailed;
      if (failed) throw new Error(JSON.stringify(failed.notice));
      return take(reply);
    });
  }
}

class Transformers extends Engine {
  constructor() {
    super("/bench/browser_decode_onnx.js");
  }

  load(model, nThreads, runtime) {
    return this.ask({ load: { model, nThreads, runtime } });
  }

  decode(prompt, nTokens) {
    return this.ask({ decode: { prompt, nTokens } });
  }

  ask(request) {
    const answer = this.until((message) => {
      if (message.error) throw new Error(message.error);
      return message.value;
    });
    this.worker.postMessage(request);
    return answer;
  }
}

function expect(wanted, found) {
  if (String(wanted) !== String(found)) throw new Error(`${found} was read, not ${wanted}`);
}
