// Caches the page for offline use. Weights are not cached here: the model's worker stores them, file
// by file, so that a download can be resumed.
//
// `cargo xtask page` fills in the build and its files. The page registers this when it has started, and
// asks for the model's worker to be kept once it has used it.

const BUILD = "__BUILD__";
const FILES = __FILES__;
const PREFIX = "boomerang-page-";
const CACHE = `${PREFIX}${BUILD}`;

/** Everything except the workers, which are large. */
function ofPage() {
    return FILES.filter((file) => !file.includes("engine-"));
}

/** The files of one worker: `cpu`, `gpu` or `teach`. */
function ofEngine(name) {
    return FILES.filter((file) => file.includes(`engine-${name}`));
}

/** The workers that builds before this one have kept. */
async function keptEngines() {
    const names = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
    const opened = await Promise.all(names.map((name) => caches.open(name)));
    const requests = (await Promise.all(opened.map((cache) => cache.keys()))).flat();
    return ["cpu", "gpu"].filter((name) =>
        requests.some(({ url }) => url.includes(`engine-${name}_bg`)),
    );
}

/** Fetches the files that are not kept yet. */
async function keep(files) {
    const cache = await caches.open(CACHE);
    const urls = files.map((file) => new URL(file, self.registration.scope));
    const kept = await Promise.all(urls.map((url) => cache.match(url)));
    await cache.addAll(urls.filter((_, index) => !kept[index]));
}

self.addEventListener("install", (event) => {
    const install = async () => {
        const engines = await keptEngines();
        await keep([...ofPage(), ...engines.flatMap(ofEngine)]);
        await self.skipWaiting();
    };
    event.waitUntil(install());
});

self.addEventListener("message", (event) => {
    const [port] = event.ports;
    const answer = (isKept) => port?.postMessage(isKept);
    const kept = keep(ofEngine(event.data.engine)).then(
        () => answer(true),
        () => answer(false),
    );
    event.waitUntil(kept);
});

self.addEventListener("activate", (event) => {
    const tidy = async () => {
        const names = await caches.keys();
        const old = names.filter((name) => name.startsWith(PREFIX) && name !== CACHE);
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
        event.respondWith(answer(event));
    }
});

/** The network's answer, and without a network what is kept. */
async function answer(event) {
    const { request } = event;
    try {
        const response = await fetch(request);
        // Workers are large, and not all are wanted: kept once the page has wanted them.
        if (response.ok && request.url.includes("engine-")) {
            const copy = response.clone();
            event.waitUntil(caches.open(CACHE).then((cache) => cache.put(request, copy)));
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
