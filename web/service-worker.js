// Caches the page for offline use. Weights are not cached here: the model's worker stores them, file
// by file, so that a download can be resumed.
//
// `cargo xtask page` fills in the build and its files; the page registers this with ?engine=… when
// its model is loaded.

const BUILD = "__BUILD__";
const FILES = __FILES__;
const CACHE = `boomerang-page-${BUILD}`;
const ENGINE = new URL(self.location).searchParams.get("engine") ?? "cpu";

/** Everything except the engine for the other kind of device, and the distillation. */
function wanted() {
    return FILES.filter((file) => !file.includes("engine-") || file.includes(`engine-${ENGINE}`));
}

self.addEventListener("install", (event) => {
    const keep = async () => {
        const cache = await caches.open(CACHE);
        await cache.addAll(wanted().map((file) => new URL(file, self.registration.scope)));
        await self.skipWaiting();
    };
    event.waitUntil(keep());
});

self.addEventListener("activate", (event) => {
    const tidy = async () => {
        const names = await caches.keys();
        const old = names.filter((name) => name.startsWith("boomerang-page-") && name !== CACHE);
        await Promise.all(old.map((name) => caches.delete(name)));
        await self.clients.claim();
    };
    event.waitUntil(tidy());
});

self.addEventListener("fetch", (event) => {
    const { request } = event;
    const isOwn = request.url.startsWith(self.registration.scope);
    const isWeight = request.url.includes(".safetensors");
    if (request.method === "GET" && isOwn && !isWeight && !request.headers.has("range")) {
        event.respondWith(answer(request));
    }
});

/** The network's answer, and without a network what is kept. */
async function answer(request) {
    try {
        const response = await fetch(request);
        // Large, and seldom wanted: kept once somebody has wanted it.
        if (response.ok && request.url.includes("engine-teach")) {
            const cache = await caches.open(CACHE);
            await cache.put(request, response.clone());
        }
        return response;
    } catch (error) {
        const kept = await caches.match(request, { ignoreSearch: true });
        if (kept) {
            return kept;
        }
        if (request.mode === "navigate") {
            return (await view()) ?? Response.error();
        }
        throw error;
    }
}

/** Every view is the same page, with its files beside the first. */
async function view() {
    const { scope } = self.registration;
    const page = await caches.match(new URL("index.html", scope));
    if (!page) {
        return undefined;
    }
    const html = (await page.text()).replace('<base href="./">', `<base href="${scope}">`);
    return new Response(html, { headers: { "content-type": "text/html; charset=utf-8" } });
}
