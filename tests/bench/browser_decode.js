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

/// Continues a prompt greedily: { tokens, firstMillis, restMillis }.
export function decode(name, prompt, nTokens) {
  return engines.get(name).decode(prompt, nTokens);
}

export function end(name) {
  engines.get(name).worker.terminate();
  engines.delete(name);
}

/// A worker, and the listeners that wait for its messages.
class Engine {
  constructor(script) {
    this.worker = new Worker(script, { type: "module" });
    this.listeners = new Set();
    this.worker.onmessage = ({ data }) => this.listeners.forEach((listener) => listener(data));
    this.worker.onerror = (event) => this.fail?.(new Error(event.message ?? "the worker did not load"));
  }

  /// Resolves with the first result of `take` for a message that is not undefined.
  until(take) {
    return new Promise((resolve, reject) => {
      const settle = (how, value) => {
        this.listeners.delete(listener);
        how(value);
      };
      const listener = (message) => {
        try {
          const taken = take(message);
          if (taken !== undefined) settle(resolve, taken);
        } catch (error) {
          settle(reject, error);
        }
      };
      this.fail = (error) => settle(reject, error);
      this.listeners.add(listener);
    });
  }
}

/// The worker of the explorer. Its protocol is in web/engine/src/messages/, where a test checks the
/// bytes that are written and read here.
class Boomerang extends Engine {
  constructor() {
    super("/engine/engine-cpu_loader.js");
    this.nTexts = 0;
  }

  async load(bundle, nStudentLayers) {
    this.patch = Array(nStudentLayers).fill(true);
    await this.receive((reply) => reply.ready);
    const url = new URL(`${bundle}manifest.json`, location.href).href;
    const manifest = await (await fetch(url)).text();
    this.send(new Bytes().number(0).number(0).text(url).text(manifest).number(ALL_SIZES));
    await this.receive((reply) => reply.loaded);
  }

  async decode(prompt, nTokens) {
    const id = ++this.nTexts;
    const text = prompt.map((token) => `t${token}`).join(" ");
    const tokens = [];
    const answer = this.receive((reply) => {
      if (reply.promptTokens) expect(prompt, reply.promptTokens);
      if (reply.token !== undefined) tokens.push(reply.token);
      return reply.report;
    });
    const request = new Bytes().number(1).number(id).number(0).number(this.patch.length);
    this.patch.forEach((isPatched) => request.number(Number(isPatched)));
    this.send(request.number(0).text(text).number(nTokens).number(0));
    return { tokens, ...(await answer) };
  }

  send(request) {
    this.worker.postMessage([Uint8Array.from(request.list)]);
  }

  receive(take) {
    return this.until(([bytes]) => {
      const reply = read(new Reader(bytes));
      if (reply.failed) throw new Error(reply.failed.join(" "));
      return take(reply);
    });
  }
}

/// The part of the worker's messages that is needed here.
function read(bytes) {
  const kind = bytes.number();
  if (kind === 0) return { ready: true };
  if (kind === 1) return { failed: readNotice(bytes) };
  if (kind === 2) return readFamily(bytes);
  if (kind === 3) return readText(bytes);
  return {};
}

function readFamily(bytes) {
  const kind = bytes.number();
  if (kind === 2) return { loaded: true };
  if (kind === 3) return { failed: readNotice(bytes) };
  return {};
}

function readText(bytes) {
  const [id, isFailure] = [bytes.number(), bytes.number()];
  if (isFailure) return { id, failed: readNotice(bytes) };
  const kind = bytes.number();
  if (kind === 0) return { id, promptTokens: bytes.numbers() };
  if (kind === 1) return { id, token: bytes.number() };
  const [rest, nTokens, nReused] = [bytes.text(), bytes.number(), bytes.number()];
  if (nReused) return { id, failed: [`${nReused} of ${nTokens} tokens were not computed`] };
  return { id, rest, report: { firstMillis: bytes.float(), restMillis: bytes.float() } };
}

function readNotice(bytes) {
  return [bytes.text(), bytes.text(), bytes.text()];
}

/// More than there are.
const ALL_SIZES = 1 << 20;

/// Values as postcard writes them: numbers in groups of seven bits, texts with their length.
class Bytes {
  list = [];

  number(value) {
    for (; value > 127; value = Math.floor(value / 128)) this.list.push((value % 128) + 128);
    this.list.push(value);
    return this;
  }

  text(value) {
    const bytes = new TextEncoder().encode(value);
    this.number(bytes.length);
    bytes.forEach((byte) => this.list.push(byte));
    return this;
  }
}

/// Reads what `Bytes` writes, and floats.
class Reader {
  constructor(bytes) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.place = 0;
  }

  number() {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.view.getUint8(this.place++);
      value += (byte % 128) * scale;
      if (byte < 128) return value;
    }
  }

  numbers() {
    return Array.from({ length: this.number() }, () => this.number());
  }

  text() {
    const length = this.number();
    const bytes = new Uint8Array(this.view.buffer, this.view.byteOffset + this.place, length);
    this.place += length;
    return new TextDecoder().decode(bytes);
  }

  float() {
    this.place += 8;
    return this.view.getFloat64(this.place - 8, true);
  }
}

class Transformers extends Engine {
  constructor() {
    super("/bench/browser_decode_onnx.js");
  }

  load(model, nThreads, runtime, dtype) {
    return this.ask({ load: { model, nThreads, runtime, dtype } });
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
