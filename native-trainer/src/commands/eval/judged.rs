//! The scores of every member, and the files and tables that show them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use boomerang_core::evaluate::{Accuracy, Score};
use serde_json::{Map, Value, json};

use super::Folders;
use super::asked::Asked;
use super::family_file::{FamilyFile, MeasuredMember, RunFacts, utc};
use crate::files::OutputFolder;
use crate::measure::answers::{Answered, Cached};
use crate::measure::bytes::ByteCount;
use crate::measure::curve::Measured;
use crate::measure::members::{Member, names};
use crate::progress::print;
use boomerang_lm_tasks::output::{self, RunContext};
use boomerang_lm_tasks::{Limit, Task, TaskGroup, TaskScore};

/// The members with their scores.
pub(super) struct Judged<'a> {
    asked: &'a Asked,
    answered: &'a Answered,
    members: Vec<JudgedMember<'a>>,
}

struct JudgedMember<'a> {
    member: &'a Member,
    name: String,
    /// Of the texts.
    texts: Score,
    /// In the order of the tasks.
    tasks: Vec<TaskScore>,
}

/// Texts are a task of their own.
const TEXTS: &str = "texts";

impl<'a> Judged<'a> {
    /// # Errors
    /// When a task cannot judge an answer.
    pub(super) fn new(
        asked: &'a Asked,
        members: &'a [Member],
        answered: &'a Answered,
    ) -> anyhow::Result<Self> {
        let mut judged = Vec::new();
        for (number, (member, name)) in members.iter().zip(names(members)).enumerate() {
            let (likelihoods, texts) = (&answered.likelihoods[number], &answered.texts[number]);
            let tasks = asked.of_tasks(likelihoods, texts);
            let tasks = tasks.map(|(task, answers)| task.score(&answers));
            judged.push(JudgedMember {
                member,
                name,
                texts: asked.examination.judge(asked.of_texts(likelihoods)),
                tasks: tasks.collect::<Result<_, _>>()?,
            });
        }
        Ok(Self { asked, answered, members: judged })
    }

    /// The curve of the first order; the others are in `family.json`.
    pub(super) fn main(&self, bytes: &ByteCount) -> Measured {
        let order = self.members.first().map(|judged| &judged.member.order);
        let (members, scores): (Vec<Member>, Vec<Score>) = self
            .members
            .iter()
            .filter(|judged| Some(&judged.member.order) == order)
            .map(|judged| (judged.member.clone(), self.score(judged)))
            .unzip();
        Measured::new(&members, scores.into_iter(), bytes)
    }

    /// What a curve shows of a member: texts, and the accuracy of each task that has one, a group
    /// of tasks counting as one.
    fn score(&self, judged: &JudgedMember<'_>) -> Score {
        let grouped: BTreeSet<&str> = self
            .asked
            .tasks
            .groups
            .iter()
            .flat_map(|group| &group.tasks)
            .map(|name| &**name)
            .collect();
        let own = self.asked.tasks.tasks.iter().zip(&judged.tasks);
        let own = own.filter(|(task, _)| !grouped.contains(task.name()));
        let mut tasks: BTreeMap<String, Accuracy> = own
            .filter_map(|(task, score)| Some((task.name().to_owned(), accuracy(task, score)?)))
            .collect();
        for group in self.outer_groups() {
            let scores = self.scores_of(judged, group);
            tasks.extend(
                group_accuracy(group, &scores).map(|score| (group.group.name.clone(), score)),
            );
        }
        Score { perplexity: judged.texts.perplexity, tasks }
    }

    /// Groups that are in no other.
    fn outer_groups(&self) -> impl Iterator<Item = &TaskGroup> {
        let groups = &self.asked.tasks.groups;
        let is_inner =
            move |name: &String| groups.iter().any(|group| group.children.contains(name));
        groups.iter().filter(move |group| !is_inner(&group.group.name))
    }

    fn scores_of<'b>(
        &'b self,
        judged: &'b JudgedMember<'_>,
        group: &TaskGroup,
    ) -> Vec<(&'b Task, &'b TaskScore)> {
        let all = self.asked.tasks.tasks.iter().zip(&judged.tasks);
        all.filter(|(task, _)| group.tasks.iter().any(|name| name == task.name())).collect()
    }

    /// A folder for each member, in lm-evaluation-harness's format; none without tasks.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub(super) fn write_members(
        &self,
        out: &OutputFolder,
        device: &str,
        began: SystemTime,
        seed: u64,
        limit: Option<Limit>,
    ) -> anyhow::Result<()> {
        if self.asked.tasks.tasks.is_empty() {
            return Ok(());
        }
        let since = began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let time = utc(began).trim_end_matches('Z').replace(':', "-");
        let time = format!("{time}.{:06}", since.subsec_micros());
        for judged in &self.members {
            let context = RunContext {
                model: &judged.name,
                time: &time,
                date: since.as_secs_f64(),
                seconds: self.answered.cost.seconds,
                device,
                limit,
                max_length: self.asked.max_seq,
                seed,
            };
            let scored: Vec<(&Task, &TaskScore)> =
                self.asked.tasks.tasks.iter().zip(&judged.tasks).collect();
            output::write(out, &folder(judged), &scored, &self.asked.tasks.groups, &context)?;
        }
        Ok(())
    }

    pub(super) fn file(
        &self,
        folders: &Folders,
        bytes: &ByteCount,
        cached: Option<&Cached<'_>>,
        device: &str,
    ) -> FamilyFile {
        let members = self.members.iter().enumerate().map(|(number, judged)| MeasuredMember {
            name: &judged.name,
            member: judged.member,
            hash: cached.map(|cached| cached.members[number]),
            folder: (!judged.tasks.is_empty()).then(|| folder(judged)),
            results: self.results(judged),
        });
        let run = RunFacts {
            device: device.to_owned(),
            teacher: (folders.teacher.path(), folders.teacher.config()),
            student: (folders.student.path(), folders.student.config()),
            plan: &folders.plan,
            bytes,
            weights: folders.format,
            sheet: &self.asked.sheet,
            answered: self.answered,
        };
        FamilyFile::new(&run, self.tasks(), members.collect())
    }

    /// What the tasks are.
    fn tasks(&self) -> BTreeMap<String, Value> {
        let Some(first) = self.members.first() else { return BTreeMap::new() };
        let texts = first.texts.perplexity.map(|perplexity| {
            let mut better = json!({"nats_per_token": false, "perplexity": false});
            if perplexity.bits_per_byte.is_some() {
                better["bits_per_byte"] = false.into();
            }
            let json = json!({
                "n": perplexity.n_tokens,
                "output_type": "loglikelihood_rolling",
                "higher_is_better": better,
            });
            (TEXTS.to_owned(), json)
        });
        let tasks = self.asked.tasks.tasks.iter().zip(&first.tasks).map(|(task, score)| {
            let better: Map<String, Value> = score
                .measures
                .iter()
                .map(|measure| (measure.metric.to_owned(), measure.higher_is_better.into()))
                .collect();
            let json = json!({
                "n": score.n,
                "output_type": task.definition.kind.name(),
                "num_fewshot": task.n_shots,
                "chance": task.chance(),
                "higher_is_better": better,
            });
            (task.name().to_owned(), json)
        });
        texts.into_iter().chain(tasks).collect()
    }

    fn results(&self, judged: &JudgedMember<'_>) -> BTreeMap<String, Value> {
        let texts = judged.texts.perplexity.map(|perplexity| {
            let mut json = json!({
                "nats_per_token": perplexity.nats_per_token,
                "nats_per_token_stderr": perplexity.nats_stderr,
                "perplexity": perplexity.perplexity(),
            });
            if let Some(bits) = perplexity.bits_per_byte {
                json["bits_per_byte"] = bits.into();
            }
            (TEXTS.to_owned(), json)
        });
        let tasks = self.asked.tasks.tasks.iter().zip(&judged.tasks).map(|(task, score)| {
            let mut json = Map::new();
            for measure in &score.measures {
                // Of several filters the first one counts.
                json.entry(measure.metric).or_insert_with(|| measure.value.into());
                let stderr = measure.stderr.map_or(Value::Null, Value::from);
                json.entry(format!("{}_stderr", measure.metric)).or_insert(stderr);
            }
            (task.name().to_owned(), Value::Object(json))
        });
        let groups = self.asked.tasks.groups.iter().map(|group| {
            let named = self.scores_of(judged, group);
            let named: Vec<(&str, &TaskScore)> =
                named.into_iter().map(|(task, score)| (task.name(), score)).collect();
            let mut json = Map::new();
            for measure in group.measures(&named) {
                let stderr = measure.stderr.map_or(Value::Null, Value::from);
                json.insert(format!("{}_stderr", measure.metric), stderr);
                json.insert(measure.metric, measure.value.into());
            }
            (group.group.name.clone(), Value::Object(json))
        });
        texts.into_iter().chain(tasks).chain(groups).collect()
    }

    /// Prints each member's score on each task, unless the table would be too long.
    pub(super) fn print_tasks(&self) {
        const MOST_LINES: usize = 80;
        let tasks = &self.asked.tasks.tasks;
        if tasks.is_empty() || tasks.len() * self.members.len() > MOST_LINES {
            return;
        }
        print("");
        print("task                      measure             member              value");
        for (number, task) in tasks.iter().enumerate() {
            for judged in &self.members {
                let Some(measure) = judged.tasks[number].measures.first() else { continue };
                let stderr = measure.stderr.map_or_else(String::new, |err| format!(" ± {err:.4}"));
                print(&format!(
                    "{:<25} {:<19} {:<19} {:.4}{stderr}",
                    task.name(),
                    measure.metric,
                    judged.name,
                    measure.value
                ));
            }
        }
    }
}

fn folder(judged: &JudgedMember<'_>) -> String {
    format!("members/{}", judged.name)
}

/// The accuracy: `acc`, or `exact_match` of generated answers.
fn accuracy(task: &Task, score: &TaskScore) -> Option<Accuracy> {
    let (acc, acc_stderr) = score.measure("acc").or_else(|| score.measure("exact_match"))?;
    let (acc_norm, acc_norm_stderr) = score.measure("acc_norm").unwrap_or((acc, acc_stderr));
    Some(Accuracy {
        acc,
        acc_norm,
        acc_stderr: acc_stderr.unwrap_or(f64::NAN),
        acc_norm_stderr: acc_norm_stderr.unwrap_or(f64::NAN),
        n_questions: score.n,
        chance: task.chance().unwrap_or(0.0),
    })
}

fn group_accuracy(group: &TaskGroup, scores: &[(&Task, &TaskScore)]) -> Option<Accuracy> {
    let named: Vec<(&str, &TaskScore)> =
        scores.iter().map(|(task, score)| (task.name(), *score)).collect();
    let measures = group.measures(&named);
    let of = |metric: &str| measures.iter().find(|measure| measure.metric == metric);
    let acc = of("acc").or_else(|| of("exact_match"))?;
    let norm = of("acc_norm").unwrap_or(acc);
    let n: usize = scores.iter().map(|(_, score)| score.n).sum();
    let chance: f64 =
        scores.iter().map(|(task, score)| task.chance().unwrap_or(0.0) * score.n as f64).sum();
    Some(Accuracy {
        acc: acc.value,
        acc_norm: norm.value,
        acc_stderr: acc.stderr.unwrap_or(f64::NAN),
        acc_norm_stderr: norm.stderr.unwrap_or(f64::NAN),
        n_questions: acc.n,
        chance: chance / n.max(1) as f64,
    })
}
