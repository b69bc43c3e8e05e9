//! MMLU: 57 subjects in four groups, with the same prompt.

use crate::python::Value;

/// A group's name, its alias, and its subjects.
type Subjects = (&'static str, &'static str, &'static [&'static str]);

/// In the order of lm-evaluation-harness's table.
const GROUPS: [Subjects; 4] = [
    (
        "stem",
        "stem",
        &[
            "abstract_algebra",
            "anatomy",
            "astronomy",
            "college_biology",
            "college_chemistry",
            "college_computer_science",
            "college_mathematics",
            "college_physics",
            "computer_security",
            "conceptual_physics",
            "electrical_engineering",
            "elementary_mathematics",
            "high_school_biology",
            "high_school_chemistry",
            "high_school_computer_science",
            "high_school_mathematics",
            "high_school_physics",
            "high_school_statistics",
            "machine_learning",
        ],
    ),
    (
        "other",
        "other",
        &[
            "business_ethics",
            "clinical_knowledge",
            "college_medicine",
            "global_facts",
            "human_aging",
            "management",
            "marketing",
            "medical_genetics",
            "miscellaneous",
            "nutrition",
            "professional_accounting",
            "professional_medicine",
            "virology",
        ],
    ),
    (
        "social_sciences",
        "social sciences",
        &[
            "econometrics",
            "high_school_geography",
            "high_school_government_and_politics",
            "high_school_macroeconomics",
            "high_school_microeconomics",
            "high_school_psychology",
            "human_sexuality",
            "professional_psychology",
            "public_relations",
            "security_studies",
            "sociology",
            "us_foreign_policy",
        ],
    ),
    (
        "humanities",
        "humanities",
        &[
            "formal_logic",
            "high_school_european_history",
            "high_school_us_history",
            "high_school_world_history",
            "international_law",
            "jurisprudence",
            "logical_fallacies",
            "moral_disputes",
            "moral_scenarios",
            "philosophy",
            "prehistory",
            "professional_law",
            "world_religions",
        ],
    ),
];

/// The task of each subject, and the groups.
pub(super) fn all(template: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    for (group, _, subjects) in GROUPS {
        all.extend(subjects.iter().map(|subject| task(template, group, subject)));
    }
    for (group, alias, _) in GROUPS {
        let name = format!("mmlu_{group}");
        let members = vec![format!("{name}_tasks")];
        all.push(grouped(name, Some(alias), members));
    }
    let members = GROUPS.iter().map(|(group, ..)| format!("mmlu_{group}")).collect();
    all.push(grouped("mmlu".to_owned(), None, members));
    all
}

fn task(template: &Value, group: &str, subject: &str) -> Value {
    let name = format!("mmlu_{subject}");
    let words = subject.replace('_', " ");
    let mut source = template.clone();
    source.set("task", name.into());
    source.set("task_alias", subject.into());
    source.set("tag", format!("mmlu_{group}_tasks").into());
    source.set("dataset_name", subject.into());
    source.set(
        "description",
        format!("The following are multiple choice questions (with answers) about {words}.\n\n")
            .into(),
    );
    source
}

fn grouped(name: String, alias: Option<&str>, members: Vec<String>) -> Value {
    let mut source = Value::map([("group", name.into())]);
    if let Some(alias) = alias {
        source.set("group_alias", alias.into());
    }
    source.set("task", members.into());
    let metric = Value::map([("metric", "acc".into()), ("weight_by_size", Value::Bool(true))]);
    source.set("aggregate_metric_list", Value::List(vec![metric]));
    source.set("metadata", Value::map([("version", Value::Int(2))]));
    source
}
