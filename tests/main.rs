//! What is true of Boomerang as a whole. Unit tests stand beside the code; here is what crosses
//! modules and crates.

/// What members expect along a text is what they would write, and how far they are from the teacher.
mod along;
/// Cosines, angles and what follows from them, against plain loops.
mod analysis;
/// Checkpoints of every architecture are read, pruned and written alike.
mod architectures;
/// Each way in which input can be wrong, and the sentence that answers it.
mod bad_input;
/// Layers that are left out or merged without training: ShortGPT and LaCo.
mod baselines;
/// Curves while a student is trained, runs that end early, and their best checkpoint.
mod best;
/// The bundle that comes with the repository loads, and its curve is what a fresh evaluation gives.
mod bundle;
/// Conversations are the text that transformers makes of them, and only responses are learnt.
mod chat;
/// Checkpoints that are not what their config says, or no plain language model, say so; what is
/// written says what it holds.
mod checkpoints;
/// The commands, run as a user runs them.
mod commands;
/// Corrections in closed form at the seams of members and of pruned teachers.
mod correct;
/// The student of a post-trained teacher is its pruned self plus what distillation changed.
mod delta;
/// Losses and weights of six steps equal those of an independent implementation.
mod distill_parity;
/// Texts and token rows mean the same to every command.
mod documents;
/// A small model drafts what a large one verifies.
mod drafted;
/// Texts end where transformers and lm-evaluation-harness end them, and are printed whole.
mod ends;
/// Members answer the same however they are run: sharing texts, layer by layer, from a cache.
mod engine;
/// Scores of the prefix tree equal those of stand-alone models.
mod evaluation;
/// Experiments on the embedded family give the same files each time.
mod experiment;
/// Sizes are evaluated and searched with matrices in 16 or 8 bits.
mod formats_in_memory;
/// GGUF files hold what other programs would write.
mod gguf;
/// What a GGUF file says of its model is understood as llama.cpp does, or refused by name.
mod gguf_input;
/// Members of two GGUF files are what a folder's would be, and recipes for another program.
mod gguf_members;
/// A software GPU computes what the CPU computes.
#[cfg(feature = "wgpu")]
mod gpu;
/// Whose matrix embedding and head share, and orders from files.
mod heads;
/// Parsers meet files that were damaged, or made to do damage.
mod hostile;
/// The repository keeps its own rules.
mod house;
/// Models from the Hub: fetched once, checked, and explained when they do not come.
mod hub;
/// Size 0 is the student and the last size the teacher, bit for bit.
mod identities;
/// Commands that are killed lose nothing, and leave nothing behind.
mod killed;
/// Models far larger than memory, from headers and in a stream.
mod large;
/// Teachers are pretrained with layers dropped at random.
mod layer_drop;
/// Runs that get more steps than they were started with.
mod lengthened;
/// Lessons say what the demo's members do, and the answer sheets of a class become tables.
mod lessons;
/// BERT and DistilBERT: patched, written and measured as masked language models.
mod masked;
/// The npm package, on plain pages.
mod module;
/// A value that is NaN or infinite is refused where it is read, made or computed.
mod not_finite;
/// Odd checkpoints are refused, or computed as a reference in plain loops has them.
mod oracle;
/// Outputs never take the place of inputs, nor of what somebody else wrote.
mod outputs;
/// The page in a real browser.
mod page;
/// Logits, hidden states and patched models equal those of transformers.
mod parity;
/// Teacher layers are patched in at random while a student is trained.
mod patching;
/// Data that were tokenized beforehand train as their texts do.
mod prepared;
/// Sets of defaults give runs of their length and loss.
mod presets;
/// Progress as JSON, for programs that run commands.
mod progress;
/// Several processes take the steps of one.
#[cfg(feature = "mpi")]
mod ranks;
/// What members wrote and are asked goes with a bundle, and is what they write.
mod recordings;
/// Several devices take the steps of one.
mod replicas;
/// Measurements as one page that asks for nothing, with names that cannot leave their place.
mod report;
/// A run that is stopped and resumed ends in the same bytes.
mod resume;
/// Runs that diverge go back to a checkpoint.
mod rollback;
/// Texts that a model writes are training data that it would read again.
mod sample;
/// Orders of patching are what measuring every member by itself gives.
mod search;
/// Weights in 8 bits in a bundle, and what they cost.
mod storing;
/// From a teacher to a curve, as the README tells it.
mod story;
/// Sizes of a family write one text in turn.
mod switched;
/// Tasks ask, hear and report what they do in lm-evaluation-harness.
mod tasks;
