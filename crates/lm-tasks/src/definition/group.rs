//! Tasks that are reported together (`group`).

use crate::error::{Context as _, Result, bail, ensure};
use crate::python::{self, Value};

/// A group as defined by its YAML.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub name: String,
    pub alias: Option<String>,
    /// Names of tasks, tags and other groups.
    pub members: Vec<String>,
    pub metrics: Vec<GroupMetric>,
    pub version: Value,
    /// Every key, for the record.
    pub source: Value,
}

/// A metric over all tasks of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetric {
    pub metric: String,
    /// `None` for all filters of a task.
    pub filters: Option<Vec<String>>,
    /// Whether tasks are weighted by their number of documents.
    pub is_weighted: bool,
}

const KEYS: &[&str] = &["aggregate_metric_list", "group", "group_alias", "metadata", "tag", "task"];

impl Group {
    /// # Errors
    /// Names the key that is wrong or not implemented.
    pub fn new(source: Value) -> Result<Self> {
        let Value::Map(entries) = &source else {
            bail!("a group is {}; expected keys and values", source.kind())
        };
        let other = entries.iter().find(|(key, _)| !KEYS.contains(&&**key));
        if let Some((key, _)) = other {
            bail!("the key {key:?} of a group is not implemented; supported: {}", KEYS.join(", "));
        }
        let name = source.get("group").map(python::text).unwrap_or_default();
        ensure!(!name.is_empty(), "the key \"group\" is empty; expected the group's name");
        let members = match source.get("task") {
            Some(Value::Text(one)) => vec![one.clone()],
            Some(Value::List(members)) => members.iter().map(member).collect::<Result<_, _>>()?,
            _ => bail!("the group {name} has no list of tasks under \"task\""),
        };
        let metrics = match source.get("aggregate_metric_list") {
            None | Some(Value::None) => Vec::new(),
            Some(Value::List(metrics)) => metrics.iter().map(metric).collect::<Result<_, _>>()?,
            Some(one) => vec![metric(one)?],
        };
        let version = source.get("metadata").and_then(|metadata| metadata.get("version"));
        let version = version.map_or_else(|| "N/A".to_owned(), python::text).into();
        let alias = source.get("group_alias").filter(|alias| !alias.is_none()).map(python::text);
        Ok(Self { name, alias, members, metrics, version, source })
    }
}

fn member(source: &Value) -> Result<String> {
    match source {
        Value::Text(name) => Ok(name.clone()),
        Value::Map(entries) => match &entries[..] {
            [(key, Value::Text(name))] if key == "task" || key == "group" => Ok(name.clone()),
            _ => bail!(
                "a group overrides keys of its tasks ({}), which is not implemented; write a task \
                 with an include instead",
                entries.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>().join(", ")
            ),
        },
        other => bail!("a group's task is {}; expected a name", other.kind()),
    }
}

fn metric(source: &Value) -> Result<GroupMetric> {
    let metric = source.get("metric").map(python::text);
    let metric = metric.context("an entry of aggregate_metric_list has no \"metric\"")?;
    let filters = match source.get("filter_list") {
        None | Some(Value::None) => None,
        Some(Value::List(filters)) => Some(filters.iter().map(python::text).collect()),
        Some(one) => Some(vec![python::text(one)]),
    };
    let aggregation = source.get("aggregation").map(python::text);
    ensure!(
        aggregation.as_deref().is_none_or(|aggregation| aggregation == "mean"),
        "the aggregation {aggregation:?} of a group is not implemented; expected mean"
    );
    let is_weighted = source.get("weight_by_size").and_then(Value::as_bool).unwrap_or(true);
    Ok(GroupMetric { metric, filters, is_weighted })
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn a_group_is_read() {
        let yaml = "group: g\ntask:\n- a\n- task: b\naggregate_metric_list:\n- metric: acc\n  \
                    weight_by_size: False\nmetadata:\n  version: 2\n";
        let group = Group::new(parse(yaml).unwrap()).unwrap();
        assert_eq!(group.members, ["a", "b"]);
        assert!(!group.metrics[0].is_weighted);
        assert_eq!(group.version, "2".into());
    }

    #[test]
    fn a_group_that_changes_its_tasks_is_refused() {
        let yaml = "group: g\ntask:\n- task: a\n  num_fewshot: 3\n";
        assert!(Group::new(parse(yaml).unwrap()).unwrap_err().to_string().contains("num_fewshot"));
    }
}
