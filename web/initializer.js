// Reports the download of the page's program to before.js; trunk's loader calls it.

export default function initializer() {
    const { fail, progress } = window.boomerangBefore ?? {};
    return {
        onProgress: ({ current, total }) => progress?.(current, total),
        onFailure: (error) => fail?.(error),
    };
}
