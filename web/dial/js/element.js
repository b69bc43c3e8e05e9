// Defines <boomerang-dial>; what it draws and does is in WebAssembly.
import { mount } from "./boomerang_dial.js";
import { ready } from "./ready.js";

export class BoomerangDialElement extends HTMLElement {
    static observedAttributes = ["src"];

    #root = this.attachShadow({ mode: "open" });
    #dial;

    get family() {
        return this.#dial?.family;
    }

    connectedCallback() {
        ready().then(
            () => {
                // It may have been removed meanwhile.
                if (this.isConnected) {
                    this.#dial ??= mount(this, this.#root);
                }
            },
            (error) => {
                this.#root.textContent = error.message;
                this.dispatchEvent(new CustomEvent("error", { detail: error }));
            },
        );
    }

    disconnectedCallback() {
        this.#dial?.dispose();
        this.#dial = undefined;
    }

    attributeChangedCallback() {
        this.#dial?.reopen();
    }
}

// Two copies of this module on one page define the element once.
if (customElements.get("boomerang-dial") === undefined) {
    customElements.define("boomerang-dial", BoomerangDialElement);
}
