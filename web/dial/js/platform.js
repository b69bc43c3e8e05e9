// What WebAssembly cannot be: a class that extends one of the browser, a method named by a symbol, and
// an address relative to this file.

export class BoomerangError extends Error {
    constructor(kind, message) {
        super(message);
        this.name = "BoomerangError";
        this.kind = kind;
    }
}

export function asyncIterable(iterator) {
    iterator[Symbol.asyncIterator] = () => iterator;
    return iterator;
}

// Bundlers recognize a worker by exactly this expression; with another class it gives the address.
const ownWorker = (Worker) => new Worker(new URL("./worker.js", import.meta.url), { type: "module" });

export function startWorker(url) {
    if (url !== undefined) {
        return new Worker(url, { type: "module" });
    }
    const address = String(ownWorker(String));
    if (new URL(address).origin === location.origin) {
        return ownWorker(Worker);
    }
    // A browser starts no worker from another origin, but one of the page's origin may import it.
    const script = new Blob([`import ${JSON.stringify(address)};`], { type: "text/javascript" });
    const blob = URL.createObjectURL(script);
    const worker = new Worker(blob, { type: "module" });
    // Once it listens, its script was read.
    worker.addEventListener("message", () => URL.revokeObjectURL(blob), { once: true });
    return worker;
}
