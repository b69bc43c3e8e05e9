import type { BoomerangDialElement } from "./boomerang_dial.js";

export { BoomerangDialElement } from "./boomerang_dial.js";

declare global {
    interface HTMLElementTagNameMap {
        "boomerang-dial": BoomerangDialElement;
    }
}
