export { load, BoomerangError } from "./boomerang_dial.js";
export type {
    ChatMessage,
    CurvePoint,
    ErrorKind,
    Family,
    FamilyEventMap,
    GenerateOptions,
    Generation,
    LoadOptions,
    Measured,
    Piece,
    Progress,
    PromptOptions,
    Report,
    Size,
} from "./boomerang_dial.js";
