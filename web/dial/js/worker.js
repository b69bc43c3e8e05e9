// Starts the model in this worker.
import init from "./engine-cpu.js";

init();
