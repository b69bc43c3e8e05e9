// Starts the package's WebAssembly, once and not before it is needed.
import init from "./boomerang_dial.js";
import { BoomerangError } from "./platform.js";

let starting;

export function ready() {
    starting ??= init().catch((error) => {
        starting = undefined;
        throw new BoomerangError(
            "program",
            `boomerang_dial_bg.wasm did not start (${error.message}). Serve it beside ` +
                "boomerang_dial.js, and allow 'wasm-unsafe-eval' in the page's policy (script-src).",
        );
    });
    return starting;
}
