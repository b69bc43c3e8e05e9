//! Python files of a model that transformers runs instead of its own code (`trust_remote_code`).

use serde_json::Value;

use super::ModelConfig;

/// The distinct Python files in the model folder that an `auto_map` refers to.
///
/// A class is given as `module.Class`; with the prefix `owner/name--` it is in another repository
/// on the Hub instead.
pub fn code_files(auto_map: &Value) -> Vec<String> {
    let mut files = Vec::new();
    add_files(auto_map, &mut files);
    files.sort();
    files.dedup();
    files
}

fn add_files(value: &Value, files: &mut Vec<String>) {
    match value {
        Value::String(class) if !class.contains("--") => {
            let module = class.rsplit_once('.').map_or(&**class, |(module, _)| module);
            files.push(format!("{module}.py"));
        }
        // A tokenizer has a slow and a fast class; one of them may be null.
        Value::Array(classes) => classes.iter().for_each(|class| add_files(class, files)),
        Value::Object(map) => map.values().for_each(|class| add_files(class, files)),
        _ => {}
    }
}

impl ModelConfig {
    /// Names of the Python files that transformers would run for this model.
    pub fn code_files(&self) -> Vec<String> {
        self.json.get("auto_map").map(code_files).unwrap_or_default()
    }

    /// The same config for a folder without those files, so that transformers uses its own code, if
    /// there is any.
    pub fn without_own_code(&self) -> Self {
        let mut config = self.clone();
        config.json.remove("auto_map");
        config
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_auto_map_names_its_files_once() {
        let auto_map = json!({
            "AutoConfig": "configuration_a.AConfig",
            "AutoModelForCausalLM": "modeling_a.AForCausalLM",
            "AutoModel": "modeling_a.AModel",
            "AutoTokenizer": ["tokenization_a.ATokenizer", null],
            "AutoProcessor": "owner/name--processing_a.AProcessor",
        });
        let expected = ["configuration_a.py", "modeling_a.py", "tokenization_a.py"];
        assert_eq!(code_files(&auto_map), expected);
    }
}
