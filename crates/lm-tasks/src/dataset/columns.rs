//! JSON documents as rows of one table: all have the columns of each.

use crate::python::Value;

/// What a column holds.
#[derive(Clone, Debug, PartialEq)]
enum Shape {
    /// Only nulls.
    Any,
    Int,
    /// Floats, and whole numbers among them.
    Float,
    List(Box<Self>),
    Map(Vec<(String, Self)>),
}

/// The documents with the same keys in the same order, those of the first document first; missing
/// values are null.
pub(super) fn unify(documents: Vec<Value>) -> Vec<Value> {
    let mut shape = Shape::Any;
    for document in &documents {
        shape = merge(shape, of(document));
    }
    documents.into_iter().map(|document| fit(document, &shape)).collect()
}

fn of(value: &Value) -> Shape {
    match value {
        Value::Int(_) => Shape::Int,
        Value::Float(_) => Shape::Float,
        Value::List(values) => Shape::List(Box::new(values.iter().map(of).fold(Shape::Any, merge))),
        Value::Map(entries) => {
            Shape::Map(entries.iter().map(|(key, value)| (key.clone(), of(value))).collect())
        }
        _ => Shape::Any,
    }
}

fn merge(left: Shape, right: Shape) -> Shape {
    match (left, right) {
        (Shape::Int, Shape::Float) | (Shape::Float, Shape::Int) => Shape::Float,
        (Shape::List(left), Shape::List(right)) => Shape::List(Box::new(merge(*left, *right))),
        (Shape::Map(mut left), Shape::Map(right)) => {
            for (key, shape) in right {
                match left.iter_mut().find(|(name, _)| *name == key) {
                    Some((_, known)) => *known = merge(std::mem::replace(known, Shape::Any), shape),
                    None => left.push((key, shape)),
                }
            }
            Shape::Map(left)
        }
        (Shape::Any, shape) | (shape, _) => shape,
    }
}

fn fit(value: Value, shape: &Shape) -> Value {
    match (value, shape) {
        (Value::Int(number), Shape::Float) => Value::Float(number as f64),
        (Value::List(values), Shape::List(shape)) => {
            Value::List(values.into_iter().map(|value| fit(value, shape)).collect())
        }
        (Value::Map(mut entries), Shape::Map(columns)) => {
            let mut take = |key: &str| {
                let index = entries.iter().position(|(name, _)| name == key)?;
                Some(std::mem::take(&mut entries[index].1))
            };
            let column = |(key, shape): &(String, Shape)| {
                (key.clone(), fit(take(key).unwrap_or_default(), shape))
            };
            Value::Map(columns.iter().map(column).collect())
        }
        (value, _) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_document_has_all_have() {
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let documents = vec![
            read(r#"{"a": 1, "c": {"x": "p"}}"#),
            read(r#"{"b": [1], "a": 2.5, "c": {"y": 1}}"#),
            read(r#"{"b": [0.5], "c": null}"#),
        ];
        let expected = [
            read(r#"{"a": 1.0, "c": {"x": "p", "y": null}, "b": null}"#),
            read(r#"{"a": 2.5, "c": {"x": null, "y": 1}, "b": [1.0]}"#),
            read(r#"{"a": null, "c": null, "b": [0.5]}"#),
        ];
        assert_eq!(unify(documents), expected);
    }
}
