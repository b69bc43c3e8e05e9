// The API.
import * as bindings from "./boomerang_dial.js";
import { ready } from "./ready.js";

export { BoomerangError } from "./platform.js";

export async function load(url, options) {
    await ready();
    return bindings.load(url, options);
}
