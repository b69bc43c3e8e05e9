//! A decoder in plain loops over `f64`, straight from the keys of a `config.json` as transformers reads
//! them: what Boomerang computes is held against it.
//!
//! Written from the published description of the models, without a line of `boomerang-core`, and only
//! for Llama, Qwen2 and Qwen3.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Tensors by name: shape and values, row-major.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A model as its files say it is.
pub struct Reference<'a> {
    config: &'a Map<String, Value>,
    tensors: &'a Tensors,
}

type States = Vec<Vec<f64>>;

impl<'a> Reference<'a> {
    pub fn new(config: &'a Map<String, Value>, tensors: &'a Tensors) -> Self {
        Self { config, tensors }
    }

    /// The logits of a text through these of the layers, a row for each token.
    pub fn logits(&self, ids: &[u32], layers: &[usize]) -> States {
        let d_model = self.size("hidden_size");
        let embedding = self.values("model.embed_tokens.weight");
        let mut states: States = ids
            .iter()
            .map(|&id| {
                let start = id as usize * d_model;
                embedding[start..start + d_model].iter().map(|&value| f64::from(value)).collect()
            })
            .collect();
        for &layer in layers {
            states = self.layer(states, layer);
        }
        let states = self.normalized(&states, "model.norm.weight");
        let is_tied =
            self.config.get("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(false);
        let head = if is_tied { "model.embed_tokens.weight" } else { "lm_head.weight" };
        self.linear(&states, head, None)
    }

    fn layer(&self, states: States, layer: usize) -> States {
        let name = |part: &str| format!("model.layers.{layer}.{part}");
        let inner = self.normalized(&states, &name("input_layernorm.weight"));
        let states = add(states, self.attention(&inner, layer));
        let inner = self.normalized(&states, &name("post_attention_layernorm.weight"));
        let has_bias = self.is("llama") && self.flag("mlp_bias");
        let project = |states: &States, part: &str| {
            let bias = has_bias.then(|| name(&format!("mlp.{part}.bias")));
            self.linear(states, &name(&format!("mlp.{part}.weight")), bias.as_deref())
        };
        let (mut gate, up) = (project(&inner, "gate_proj"), project(&inner, "up_proj"));
        for (gate, up) in gate.iter_mut().flatten().zip(up.iter().flatten()) {
            *gate = *gate / (1.0 + (-*gate).exp()) * up;
        }
        add(states, project(&gate, "down_proj"))
    }

    fn attention(&self, states: &States, layer: usize) -> States {
        let (n_heads, d_head) = (self.size("num_attention_heads"), self.d_head());
        let n_kv_heads =
            self.number("num_key_value_heads").map_or(n_heads, |number| number as usize);
        let name = |part: &str| format!("model.layers.{layer}.self_attn.{part}");
        let project = |states: &States, part: &str, has_bias: bool| {
            let bias = has_bias.then(|| name(&format!("{part}.bias")));
            self.linear(states, &name(&format!("{part}.weight")), bias.as_deref())
        };
        let has_bias = !self.is("qwen2") && self.flag("attention_bias");
        let has_input_bias = has_bias || self.is("qwen2");
        let mut queries = project(states, "q_proj", has_input_bias);
        let mut keys = project(states, "k_proj", has_input_bias);
        let values = project(states, "v_proj", has_input_bias);
        for (rows, norm) in [(&mut queries, "q_norm.weight"), (&mut keys, "k_norm.weight")] {
            for (position, row) in rows.iter_mut().enumerate() {
                for head in row.chunks_mut(d_head) {
                    if self.is("qwen3") {
                        let normalized = self.normalized(&vec![head.to_vec()], &name(norm));
                        head.copy_from_slice(&normalized[0]);
                    }
                    self.rotate(head, position);
                }
            }
        }
        let window = self.window(layer);
        let mut mixed = vec![vec![0.0; n_heads * d_head]; states.len()];
        for (position, row) in mixed.iter_mut().enumerate() {
            let first = window.map_or(0, |window| (position + 1).saturating_sub(window));
            for head in 0..n_heads {
                let of_query = head * d_head..(head + 1) * d_head;
                let kv_head = head / (n_heads / n_kv_heads);
                let of_key = kv_head * d_head..(kv_head + 1) * d_head;
                let score = |other: usize| {
                    let (query, key) =
                        (&queries[position][of_query.clone()], &keys[other][of_key.clone()]);
                    dot(query, key) / (d_head as f64).sqrt()
                };
                let scores: Vec<f64> = (first..=position).map(score).collect();
                let largest = scores.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
                let powers: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
                let sum: f64 = powers.iter().sum();
                for (other, power) in (first..=position).zip(&powers) {
                    let value = &values[other][of_key.clone()];
                    for (out, value) in row[of_query.clone()].iter_mut().zip(value) {
                        *out += power / sum * value;
                    }
                }
            }
        }
        project(&mixed, "o_proj", has_bias)
    }

    /// How many positions a layer sees; `None` for all.
    fn window(&self, layer: usize) -> Option<usize> {
        if self.is("llama") || !self.flag("use_sliding_window") {
            return None;
        }
        let window = match self.config.get("sliding_window") {
            None => Some(4096),
            Some(value) => value.as_u64().map(|window| window as usize),
        };
        let is_windowed = match self.config.get("layer_types").and_then(Value::as_array) {
            Some(types) => types[layer] == "sliding_attention",
            None => layer as f64 >= self.number("max_window_layers").unwrap_or(28.0),
        };
        window.filter(|_| is_windowed)
    }

    /// Turns pairs of a head's numbers, `x[i]` with `x[i + d_head / 2]`.
    fn rotate(&self, head: &mut [f64], position: usize) {
        let half = head.len() / 2;
        for pair in 0..half {
            let (sin, cos) = (position as f64 * self.frequency(pair, head.len())).sin_cos();
            let (sin, cos) = (sin * self.magnitude(), cos * self.magnitude());
            let (a, b) = (head[pair], head[pair + half]);
            head[pair] = a * cos - b * sin;
            head[pair + half] = b * cos + a * sin;
        }
    }

    fn frequency(&self, pair: usize, d_head: usize) -> f64 {
        let theta = self.rope("rope_theta").or(self.number("rope_theta")).unwrap_or(1e4);
        let frequency = theta.powf(-((2 * pair) as f64) / d_head as f64);
        let kind = |key| self.rope_object()?.get(key)?.as_str();
        // The second is the older name.
        let kind = kind("rope_type").or_else(|| kind("type"));
        let factor = self.rope("factor").unwrap_or(1.0);
        match kind {
            Some("linear") => frequency / factor,
            Some("llama3") => {
                let number = |key| self.rope(key).expect("a llama3 scaling is complete");
                let (low, high) = (number("low_freq_factor"), number("high_freq_factor"));
                let turns =
                    number("original_max_position_embeddings") * frequency / std::f64::consts::TAU;
                let share = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                (1.0 - share) * frequency / factor + share * frequency
            }
            Some("yarn") => {
                let number = |key, default: f64| self.rope(key).unwrap_or(default);
                let window = self.number("max_position_embeddings").unwrap_or(2048.0);
                let original = number("original_max_position_embeddings", window);
                let pair_of = |turns: f64| {
                    let wave = original / (turns * std::f64::consts::TAU);
                    d_head as f64 * wave.ln() / (2.0 * theta.ln())
                };
                let low = pair_of(number("beta_fast", 32.0)).floor().max(0.0);
                let high = pair_of(number("beta_slow", 1.0)).ceil().min(d_head as f64 - 1.0);
                let high = if low == high { high + 0.001 } else { high };
                let share = ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0);
                frequency / factor * share + frequency * (1.0 - share)
            }
            _ => frequency,
        }
    }

    /// What cosines and sines are multiplied by.
    fn magnitude(&self) -> f64 {
        let kind = |key| self.rope_object()?.get(key)?.as_str();
        match kind("rope_type").or_else(|| kind("type")) {
            Some("yarn") => self
                .rope("attention_factor")
                .unwrap_or_else(|| 0.1 * self.rope("factor").unwrap_or(1.0).max(1.0).ln() + 1.0),
            _ => 1.0,
        }
    }

    fn rope_object(&self) -> Option<&Map<String, Value>> {
        let object = |key| self.config.get(key).and_then(Value::as_object);
        object("rope_parameters").or_else(|| object("rope_scaling"))
    }

    fn rope(&self, key: &str) -> Option<f64> {
        self.rope_object()?.get(key)?.as_f64()
    }

    fn d_head(&self) -> usize {
        let default = if self.is("qwen3") {
            128
        } else {
            self.size("hidden_size") / self.size("num_attention_heads")
        };
        self.number("head_dim").map_or(default, |number| number as usize)
    }

    fn normalized(&self, states: &States, name: &str) -> States {
        let epsilon = self.number("rms_norm_eps").unwrap_or(1e-6);
        let gamma = self.values(name);
        let normalize = |row: &Vec<f64>| -> Vec<f64> {
            let scale = (dot(row, row) / row.len() as f64 + epsilon).sqrt();
            row.iter().zip(gamma).map(|(value, &gamma)| value / scale * f64::from(gamma)).collect()
        };
        states.iter().map(normalize).collect()
    }

    fn linear(&self, states: &States, weight: &str, bias: Option<&str>) -> States {
        let weight = self.values(weight);
        let bias = bias.map(|bias| self.values(bias));
        let row = |state: &Vec<f64>| -> Vec<f64> {
            let outputs = weight.chunks(state.len()).enumerate().map(|(output, weights)| {
                let sum: f64 = state.iter().zip(weights).map(|(a, &b)| a * f64::from(b)).sum();
                sum + bias.map_or(0.0, |bias| f64::from(bias[output]))
            });
            outputs.collect()
        };
        states.iter().map(row).collect()
    }

    fn values(&self, name: &str) -> &'a [f32] {
        &self.tensors.get(name).unwrap_or_else(|| panic!("no tensor {name}")).1
    }

    fn is(&self, model_type: &str) -> bool {
        self.config["model_type"] == model_type
    }

    fn flag(&self, key: &str) -> bool {
        self.config.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.config.get(key).and_then(Value::as_f64)
    }

    fn size(&self, key: &str) -> usize {
        self.number(key).unwrap_or_else(|| panic!("no {key}")) as usize
    }
}

fn add(states: States, other: States) -> States {
    let sum = |(left, right): (Vec<f64>, Vec<f64>)| {
        left.iter().zip(&right).map(|(left, right)| left + right).collect()
    };
    states.into_iter().zip(other).map(sum).collect()
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}
