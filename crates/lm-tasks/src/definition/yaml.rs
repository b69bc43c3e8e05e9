//! YAML files of tasks, with includes and without Python functions.

use std::path::Path;

use serde_yaml_ng::Value as Yaml;

use crate::error::{Context as _, Result, bail, ensure};
use crate::python::{self, Value};
use boomerang_files as files;

/// Maximum depth of includes, deeper than any real one.
const MAX_DEPTH: usize = 16;

/// Reads a file and those that it includes, whose keys it overrides.
///
/// # Errors
/// When a file cannot be read, names a Python function, or includes itself.
pub fn read(path: &Path) -> Result<Value> {
    read_at(path, 0)
}

fn read_at(path: &Path, depth: usize) -> Result<Value> {
    ensure!(depth < MAX_DEPTH, "{} includes itself, or too many others", path.display());
    let keys = parse(&files::read_text(path)?).with_context(|| path.display().to_string())?;
    let Value::Map(entries) = keys else {
        bail!("{}: expected keys and values, found {}", path.display(), keys.kind());
    };
    let (includes, own): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(key, _)| key == "include");
    let mut merged = Value::Map(Vec::new());
    for (_, include) in includes {
        let names = match include {
            Value::List(names) => names,
            name => vec![name],
        };
        for name in names {
            let name = python::text(&name);
            let included = path.with_file_name(&name);
            let included = read_at(&included, depth + 1)
                .with_context(|| format!("{} includes {name:?}", path.display()))?;
            merge(&mut merged, included);
        }
    }
    merge(&mut merged, Value::Map(own));
    Ok(merged)
}

fn merge(keys: &mut Value, others: Value) {
    let Value::Map(entries) = others else { return };
    for (key, value) in entries {
        keys.set(&key, value);
    }
}

/// The keys of a YAML text.
///
/// # Errors
/// When it is not YAML, or names a Python function.
pub(crate) fn parse(text: &str) -> Result<Value> {
    let mut yaml: Yaml = serde_yaml_ng::from_str(text)?;
    yaml.apply_merge()?;
    convert(yaml, "the file", Functions::Refused)
}

/// The keys of a file without its includes, to recognize it; functions are left out.
pub(crate) fn glance(path: &Path) -> Option<Value> {
    let mut yaml: Yaml = serde_yaml_ng::from_str(&files::read_text(path).ok()?).ok()?;
    yaml.apply_merge().ok()?;
    convert(yaml, "", Functions::LeftOut).ok()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Functions {
    Refused,
    LeftOut,
}

fn convert(yaml: Yaml, subject: &str, functions: Functions) -> Result<Value> {
    Ok(match yaml {
        Yaml::Null => Value::None,
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::Number(number) => match number.as_i64() {
            Some(number) => Value::Int(number),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Yaml::String(text) => Value::Text(text),
        Yaml::Sequence(items) => Value::List(
            items
                .into_iter()
                .map(|item| convert(item, subject, functions))
                .collect::<Result<_, _>>()?,
        ),
        Yaml::Mapping(entries) => {
            let mut map = Value::Map(Vec::new());
            for (key, value) in entries {
                let key = python::text(&convert(key, subject, functions)?);
                let value = convert(value, &key, functions)?;
                map.set(&key, value);
            }
            map
        }
        Yaml::Tagged(_) if functions == Functions::LeftOut => Value::None,
        Yaml::Tagged(tagged) if tagged.tag == "function" => {
            let name = tagged.value.as_str().unwrap_or_default();
            bail!(
                "{subject} is the Python function {name:?} (!function), which is not supported; expected a \
                 template or a column of the dataset"
            )
        }
        Yaml::Tagged(tagged) => {
            bail!("{subject} has the tag {}, which is not supported", tagged.tag)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_overrides_what_it_includes() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("_base", "a: 1\nb: [1]\n");
        write("t.yaml", "b: 2\ninclude: _base\nc: \"x\"\n");
        let keys = read(&folder.path().join("t.yaml")).unwrap();
        let expected = [("a", Value::Int(1)), ("b", Value::Int(2)), ("c", "x".into())];
        assert_eq!(keys, Value::map(expected));
    }

    #[test]
    fn a_file_that_includes_itself_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.yaml");
        std::fs::write(&path, "include: t.yaml\n").unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("includes itself"), "{error}");
    }

    #[test]
    fn a_function_is_refused_by_name() {
        let error = parse("process_docs: !function utils.process_docs\n").unwrap_err().to_string();
        assert!(error.starts_with("process_docs is the Python function \"utils.process_docs\""));
    }
}
