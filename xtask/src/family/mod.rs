//! `cargo xtask family`: a real teacher, from its file to a family in a bundle, in steps that are skipped
//! where their output exists, so that a run that was interrupted is resumed by the same command.

mod teacher;
mod texts;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use self::teacher::Teacher;
use self::texts::{HELD_OUT, KINDS};
use crate::backend::{Backend, build_release};
use crate::run::{Workspace, run};

/// English that the teacher did not write, for perplexity.
const ENGLISH: [&str; 1] = ["assets/families/smollm2/english.txt"];
/// Short questions with answers to choose from.
const TASKS: &str = "assets/families/smollm2/tasks.jsonl";
/// What the page offers, in and outside of the model's chat form.
const PROMPTS: &[&str] =
    &["There are many things to know about the wind. First,", "When I think about foxes, I"];

/// The options of the command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    out: PathBuf,
    teacher: Teacher,
    /// Optimizer steps; by default as many as the scale has
    steps: Option<usize>,
    scale: Scale,
    /// Whether a student with random weights is distilled for comparison
    random_start: bool,
    /// `--device=…` for every command that computes
    device: Option<String>,
}

/// How much is sampled, distilled and measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    /// All texts, every size, three orders: hours on two cores.
    Full,
    /// A quarter of the texts, a fifth of the steps, every second size: enough to see the curve.
    Short,
}

impl Scale {
    /// One of so many questions is asked, for texts that students read.
    fn every_nth_text(self) -> usize {
        match self {
            Self::Full => 1,
            Self::Short => 4,
        }
    }

    fn steps(self) -> usize {
        match self {
            Self::Full => 600,
            Self::Short => 120,
        }
    }

    /// What is evaluated, for `boomerang eval`.
    fn members(self) -> &'static str {
        match self {
            Self::Full => "--also-order first --also-order last",
            Self::Short => "--members every:2",
        }
    }
}

impl Options {
    fn steps(&self) -> usize {
        self.steps.unwrap_or(self.scale.steps())
    }

    pub(crate) fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self {
            out: "runs/smollm2".into(),
            teacher: Teacher::Hub,
            steps: None,
            scale: Scale::Full,
            random_start: false,
            device: None,
        };
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
                    let parsed = steps.parse().with_context(|| format!("--steps {steps}"))?;
                    options.steps = Some(parsed);
                }
                "--short" => options.scale = Scale::Short,
                "--random-start" => options.random_start = true,
                "--teacher" => options.teacher = Teacher::parse(value()?),
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
    let teacher = options.teacher.path(workspace, &family.inside("package"))?;
    for kind in KINDS {
        family.sample(&teacher, kind)?;
    }
    let student = family.distill(&teacher, "run", FROM_LAYERS)?;
    if options.random_start {
        family.distill(&teacher, RANDOM_RUN, FROM_RANDOM)?;
    }
    let order = family.search(&teacher, &student)?;
    let data = |path: &String| ("--data", path.clone());
    let held_out = HELD_OUT.map(|name| family.inside(&texts::samples(name)));
    let held_out: Vec<_> = held_out.iter().map(data).collect();
    let on_teacher_text = family.evaluate(&teacher, &student, &order, "eval", &held_out)?;
    let english: Vec<_> = ENGLISH.map(str::to_owned).iter().map(data).collect();
    family.evaluate(&teacher, &student, &order, "eval-english", &english)?;
    let tasks = [("--tasks", TASKS.to_owned())];
    family.evaluate(&teacher, &student, &order, "eval-tasks", &tasks)?;
    let bundle = family.bundle(&teacher, &student, &order, &on_teacher_text)?;
    println!(
        "The family is in {bundle}. Open it with: cargo xtask page, and then: {} explore {bundle}",
        family.boomerang.display()
    );
    println!(
        "Its curves are in {0}/eval, {0}/eval-english and {0}/eval-tasks",
        options.out.display()
    );
    Ok(())
}

/// How students are distilled: 1,024 tokens a step.
const DISTILL: &str = "--keep-first 2 --keep-last 1 --cosine-weight 10 --lr 1e-3 --batch-size 2 \
                       --seq-len 512 --shuffle-seed 1 --held-out 16 --save-every 50";
/// Ends frozen, so that the sizes stay tied as the teacher is.
const FROM_LAYERS: &str = "--freeze embedding,head";
const FROM_RANDOM: &str = "--init random";
const RANDOM_RUN: &str = "run-random";

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

    /// Runs a command on the chosen device, with flags of single words and others.
    fn boomerang(&self, command: &str, words: &str, flags: &[(&str, &str)]) -> Result<()> {
        let mut child = self.workspace.command(&self.boomerang);
        child.arg(command).args(flags.iter().flat_map(|(name, value)| [name, value]));
        run(child.args(words.split_whitespace()).args(&self.options.device))
    }

    /// The student of a run.
    fn distill(&self, teacher: &str, run: &str, start: &str) -> Result<String> {
        let (out, student) = (self.inside(run), format!("{run}/student"));
        if self.has(&student) {
            return Ok(self.inside(&student));
        }
        let [chat, plain] = ["chat", "plain"].map(|name| self.inside(&texts::samples(name)));
        let resume = if self.has(&format!("{run}/settings.json")) { "--resume" } else { "" };
        let words = format!("{DISTILL} {start} --steps {} {resume}", self.options.steps());
        let flags =
            [("--teacher", teacher), ("--data", &chat), ("--data", &plain), ("--out", &out)];
        self.boomerang("distill", &words, &flags)?;
        Ok(self.inside(&student))
    }

    fn search(&self, teacher: &str, student: &str) -> Result<String> {
        let out = self.inside("order.json");
        if !self.has("order.json") {
            let calibration = self.inside(&texts::samples("chat"));
            let flags = [
                ("--teacher", teacher),
                ("--student", student),
                ("--calibration", &calibration),
                ("--out", &out),
            ];
            self.boomerang("search", "--calibration-tokens 1024", &flags)?;
        }
        Ok(out)
    }

    /// Quality of every size along three orders, and of naive pruning, on some texts or tasks.
    fn evaluate(
        &self,
        teacher: &str,
        student: &str,
        order: &str,
        name: &str,
        on: &[(&str, String)],
    ) -> Result<String> {
        let out = self.inside(name);
        if self.has(name) {
            return Ok(out);
        }
        let mut flags = vec![
            ("--teacher", teacher),
            ("--student", student),
            ("--order", order),
            ("--out", &out),
        ];
        flags.extend(on.iter().map(|(flag, path)| (*flag, path.as_str())));
        let random = self.inside(&format!("{RANDOM_RUN}/student"));
        if self.options.random_start {
            flags.push(("--random-student", &random));
        }
        let words = format!("{} --max-length 512", self.options.scale.members());
        self.boomerang("eval", &words, &flags)?;
        Ok(out)
    }

    fn bundle(&self, teacher: &str, student: &str, order: &str, eval: &str) -> Result<String> {
        let out = self.inside("bundle");
        if self.has("bundle") {
            return Ok(out);
        }
        let calibration = self.inside(&texts::samples("chat-held-out"));
        let mut flags = vec![
            ("--teacher", teacher),
            ("--student", student),
            ("--order", order),
            ("--eval", eval),
            ("--name", "SmolLM2 135M"),
            ("--calibration", &calibration),
            ("--out", &out),
        ];
        flags.extend(PROMPTS.iter().map(|&prompt| ("--prompt", prompt)));
        self.boomerang("bundle", "--precision q8_0 --calibration-tokens 512", &flags)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&args)
    }

    #[test]
    fn a_teacher_is_from_the_hub_a_package_or_a_path() {
        let teacher = |line: &str| parsed(line).unwrap().teacher;
        assert_eq!(teacher("smollm2"), Teacher::Hub);
        assert_eq!(teacher("smollm2 --teacher pip"), Teacher::PythonPackage);
        assert_eq!(teacher("smollm2 --teacher a/b.gguf"), Teacher::Path("a/b.gguf".into()));
    }

    #[test]
    fn steps_are_those_of_the_scale_unless_given() {
        let steps = |line: &str| parsed(line).unwrap().steps();
        assert_eq!(steps("smollm2 --cpu"), 600);
        assert_eq!(steps("smollm2 --short"), 120);
        assert_eq!(steps("smollm2 --steps 40 --short --random-start"), 40);
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
