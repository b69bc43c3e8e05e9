// Until the page's program runs: how much of it is loaded, and why it does not start.
//
// A script of its own, without modules, so that it also runs where the program cannot.
(function () {
    "use strict";

    var MEGABYTE = 1e6;
    /** Without new bytes for so long, the page says that it waits. */
    var QUIET_MILLIS = 5000;

    var before = document.getElementById("before");
    var loading = document.getElementById("before-loading");
    var bar = document.getElementById("before-bar");
    var words = document.getElementById("before-words");
    var moved = Date.now();

    function isOver() {
        return !document.body.contains(before);
    }

    function show(element) {
        loading.hidden = true;
        element.hidden = false;
    }

    /** The first reason is shown; later ones follow from it. */
    function fail(reason) {
        var failed = document.getElementById("before-failed");
        if (isOver() || loading.hidden) {
            return;
        }
        document.getElementById("before-why").textContent = String((reason && reason.message) || reason);
        show(failed);
    }

    function inMegabytes(bytes) {
        return (bytes / MEGABYTE).toFixed(1);
    }

    function progress(bytes, total) {
        moved = Date.now();
        bar.max = total;
        bar.value = bytes;
        words.textContent =
            bytes < total ? inMegabytes(bytes) + " of " + inMegabytes(total) + " MB" : "starting";
    }

    /** A module with one function that fills a vector; valid only with SIMD instructions. */
    function hasSimd() {
        var vector = [
            0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253,
            15, 11,
        ];
        return typeof WebAssembly === "object" && WebAssembly.validate(new Uint8Array(vector));
    }

    document.getElementById("before-again").addEventListener("click", function () {
        location.reload();
    });
    if (!hasSimd() || !("noModule" in HTMLScriptElement.prototype)) {
        show(document.getElementById("before-unable"));
        return;
    }
    loading.hidden = false;
    // Scripts that do not load fire an event without a message at their element, which only a capturing
    // listener gets.
    addEventListener(
        "error",
        function (event) {
            var script = event.target;
            if (script && script.src) {
                fail(script.src + " did not load");
            } else if (event.message) {
                fail(event.message);
            }
        },
        true,
    );
    // A download that breaks off is only reported here.
    addEventListener("unhandledrejection", function (event) {
        fail(event.reason);
    });
    var waiting = setInterval(function () {
        if (isOver() || loading.hidden) {
            clearInterval(waiting);
        } else if (Date.now() - moved > QUIET_MILLIS && words.textContent !== "starting") {
            words.textContent = words.textContent.split(";")[0] + "; waiting for the server";
        }
    }, 1000);
    window.boomerangBefore = { fail: fail, progress: progress };
})();
