/** What kind of error it is. */
export type ErrorKind =
    /** An argument of the wrong type or out of range. */
    | "argument"
    /** The family was used after `dispose()`. */
    | "disposed"
    /** There is no size at this index. */
    | "unknown-size"
    /** The size does not fit in this browser's memory. */
    | "memory"
    /** The server did not respond, or refused. */
    | "network"
    /** The address has a web page or another file instead of a bundle. */
    | "not-a-bundle"
    /** The bundle has a version that this package does not read. */
    | "version"
    /** The bundle contradicts itself. */
    | "unusable"
    /** A file does not match its hash in the manifest. */
    | "damaged"
    /** The size is not loaded, and loading has stopped. */
    | "not-loaded"
    /** The prompt cannot be processed. */
    | "text"
    /** The worker did not start, or has crashed. */
    | "worker"
    /** The package's WebAssembly did not start. */
    | "program";

/** Every error of this package but one: what is aborted rejects with the signal's reason. */
export declare class BoomerangError extends Error {
    constructor(kind: ErrorKind, message: string);
    readonly kind: ErrorKind;
}

export interface LoadOptions {
    /** Called as bytes are loaded, also after `load()` has resolved. */
    onProgress?: (progress: Progress) => void;
    /** Aborts loading until `load()` has resolved; `dispose()` ends it later. */
    signal?: AbortSignal;
    /** The address of `worker.js`, where it is not beside this module. */
    workerUrl?: string | URL;
    /** Whether the browser stores the weights for the next visit. Default: true. */
    store?: boolean;
}

export interface Progress {
    readonly bytes: number;
    /** Of all sizes that fit in memory. */
    readonly total: number;
    /** The file that is being loaded. */
    readonly path: string;
}

export interface PromptOptions {
    /** Whether a prompt that is a string is a message, written with the model's chat template. Default: false. */
    chat?: boolean;
    signal?: AbortSignal;
}

export interface GenerateOptions extends PromptOptions {
    /** How many tokens at most. Default: 64. */
    tokens?: number;
    /** 0 is greedy decoding, which is the default unless there is a seed; then it is 1. */
    temperature?: number;
    /** An integer from 0 on. Default: 0. */
    seed?: number;
}

export interface ChatMessage {
    readonly role: "user" | "assistant";
    readonly content: string;
}

/** A piece of generated text. */
export interface Piece {
    /** May be empty while a character is incomplete. */
    readonly text: string;
    /** Its token; the rest of an incomplete character at the end of a text has none. */
    readonly token?: number;
}

/** How a text was generated. */
export interface Report {
    readonly tokens: number;
    readonly ending: "length" | "window" | "end-of-text" | "stopped";
    /** Of the tokens after the first, if there are at least eight of them. */
    readonly tokensPerSecond?: number;
}

/** A text as it is generated; leaving a `for await` loop stops it. */
export interface Generation extends AsyncIterable<Piece> {
    next(): Promise<IteratorResult<Piece, Report | undefined>>;
    return(): Promise<IteratorResult<Piece, Report | undefined>>;
    [Symbol.asyncIterator](): Generation;
}

/** One size of a family. */
export interface Size {
    /** 0 is the student, the last one is the teacher. */
    readonly index: number;
    readonly layers: number;
    readonly parameters: number;
    /** Of its weights, as the bundle stores them. */
    readonly bytes: number;
    /** Measured loss in nats/token, if the bundle has it. */
    readonly loss?: Measured;
    /** Measured mean accuracy over tasks, from 0 to 1, if the bundle has it. */
    readonly accuracy?: Measured;
    /** Whether it fits in this browser's memory, with the smaller ones. */
    readonly fits: boolean;
    /** Whether all of its files are loaded. */
    readonly loaded: boolean;
}

/** A measurement. */
export interface Measured {
    readonly mean: number;
    /** Standard error, where it is known. */
    readonly stderr?: number;
}

/** A measured model, of this family or of a baseline. */
export interface CurvePoint {
    /** `boomerang`: the family. `naive`: pruned, not distilled. `random`: a randomly initialized student. */
    readonly series: "boomerang" | "naive" | "random";
    readonly layers: number;
    readonly parameters: number;
    readonly bytes: number;
    readonly loss?: Measured;
    readonly accuracy?: Measured;
}

export interface FamilyEventMap {
    progress: CustomEvent<Progress>;
    /** Another size can generate without waiting, or was chosen: read `sizes` and `size`. */
    sizechange: CustomEvent<undefined>;
    /** All sizes that fit in memory are loaded. */
    loaded: CustomEvent<undefined>;
    /** Loading was interrupted, or the worker has crashed. */
    error: CustomEvent<BoomerangError>;
}

export interface Family extends EventTarget {
    addEventListener<K extends keyof FamilyEventMap>(
        type: K,
        listener: (event: FamilyEventMap[K]) => void,
        options?: boolean | AddEventListenerOptions,
    ): void;
    addEventListener(
        type: string,
        listener: EventListenerOrEventListenerObject | null,
        options?: boolean | AddEventListenerOptions,
    ): void;
}

/** `<boomerang-dial>`. Attributes: `src`, `prompt`, `tokens`, `temperature`, `seed`, `worker-url`, `autoload`. */
export declare class BoomerangDialElement extends HTMLElement {
    /** The family, once loading has started. */
    readonly family: Family | undefined;
}
