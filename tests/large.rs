use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use boomerang_core::gguf::{Announced, GgufArray, GgufType, GgufValue, Metadata, header};
use serde_json::{Map, Value, json};

/// A llama's folder whose weights are holes: a header, and nothing behind it that takes space.
fn write_sparse(folder: &Path, config: &Value, n_shards: usize) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let size = |key: &str| config[key].as_u64().unwrap() as usize;
    let (d, d_ff, vocab) = (size("hidden_size"), size("intermediate_size"), size("vocab_size"));
    let d_key = size("num_key_value_heads") * d / size("num_attention_heads");
    let mut tensors = vec![
        ("model.embed_tokens.weight".to_owned(), vec![vocab, d]),
        ("lm_head.weight".to_owned(), vec![vocab, d]),
        ("model.norm.weight".to_owned(), vec![d]),
    ];
    for layer in 0..size("num_hidden_layers") {
        for (part, shape) in [
            ("self_attn.q_proj", vec![d, d]),
            ("self_attn.k_proj", vec![d_key, d]),
            ("self_attn.v_proj", vec![d_key, d]),
            ("self_attn.o_proj", vec![d, d]),
            ("mlp.gate_proj", vec![d_ff, d]),
            ("mlp.up_proj", vec![d_ff, d]),
            ("mlp.down_proj", vec![d, d_ff]),
            ("input_layernorm", vec![d]),
            ("post_attention_layernorm", vec![d]),
        ] {
            tensors.push((format!("model.layers.{layer}.{part}.weight"), shape));
        }
    }
    let per_shard = tensors.len().div_ceil(n_shards);
    let mut weight_map = Map::new();
    for (number, shard) in tensors.chunks(per_shard).enumerate() {
        let name = match n_shards {
            1 => "model.safetensors".to_owned(),
            _ => format!("model-{:05}-of-{n_shards:05}.safetensors", number + 1),
        };
        let mut header = Map::new();
        let mut offset = 0;
        for (tensor, shape) in shard {
            let end = offset + 2 * shape.iter().product::<usize>();
            header.insert(
                tensor.clone(),
                json!({"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}),
            );
            offset = end;
            weight_map.insert(tensor.clone(), json!(name));
        }
        let header = Value::Object(header).to_string();
        let mut file = File::create(folder.join(&name)).unwrap();
        file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
        file.write_all(header.as_bytes()).unwrap();
        file.set_len((8 + header.len() + offset) as u64).unwrap();
    }
    if n_shards > 1 {
        let index = json!({"weight_map": weight_map}).to_string();
        fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
    }
}

fn config(d_model: usize, d_ff: usize, n_layers: usize, vocab: usize) -> Value {
    json!({
        "model_type": "llama", "vocab_size": vocab, "hidden_size": d_model,
        "intermediate_size": d_ff, "num_hidden_layers": n_layers,
        "num_attention_heads": d_model / 128, "num_key_value_heads": d_model / 1024,
        "rope_theta": 5e5, "rms_norm_eps": 1e-5, "tie_word_embeddings": false,
    })
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_model_of_70_billion_parameters_is_inspected_by_its_headers() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model");
    write_sparse(&model, &config(8192, 28672, 80, 128_256), 30);
    let output = Command::new(env!("CARGO_BIN_EXE_boomerang-under-test"))
        .args(["inspect", "--json"])
        .arg(&model)
        .output()
        .unwrap();
    let found: Value = serde_json::from_str(&said(&output)).unwrap();
    assert_eq!(found["n_params"], 70_553_706_496_u64);
    assert_eq!(found["dtypes"]["BF16"], 2 * 70_553_706_496_u64);
}

/// The operating system enforces the limit: memory that is written to, not files that are mapped.
#[cfg(target_os = "linux")]
#[test]
fn a_size_of_300_megabytes_is_written_with_64_megabytes_of_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (teacher, student) = (dir.path().join("teacher"), dir.path().join("student"));
    write_sparse(&teacher, &config(1024, 1024, 4, 65536), 1);
    write_sparse(&student, &config(1024, 1024, 2, 65536), 1);
    let plan = json!({"copied_teacher_layers": [0, 2], "pruned_teacher_layers": [1, 3]});
    fs::write(student.join("student_config.json"), plan.to_string()).unwrap();
    let output = Command::new("sh")
        .args(["-c", "ulimit -d 65536 && exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_boomerang-under-test"))
        .args(["patch", "--k", "1", "--teacher"])
        .arg(&teacher)
        .arg("--student")
        .arg(&student)
        .arg("--out")
        .arg(dir.path().join("out"))
        .output()
        .unwrap();
    said(&output);
    let written = fs::metadata(dir.path().join("out/model.safetensors")).unwrap().len();
    assert!(written > 280_000_000, "{written} bytes");
}

/// 400 MB of weights under a limit of 96 MB, which the operating system enforces.
#[cfg(target_os = "linux")]
#[test]
fn a_family_four_times_as_large_as_memory_is_measured() {
    let dir = tempfile::tempdir().unwrap();
    let (teacher, student) = (dir.path().join("teacher"), dir.path().join("student"));
    write_sparse(&teacher, &config(1024, 1024, 24, 512), 2);
    write_sparse(&student, &config(1024, 1024, 13, 512), 1);
    let (kept, dropped): (Vec<usize>, Vec<usize>) =
        (0..24).partition(|layer| layer % 2 == 0 || *layer == 23);
    let plan = json!({"copied_teacher_layers": kept, "pruned_teacher_layers": dropped});
    fs::write(student.join("student_config.json"), plan.to_string()).unwrap();
    fs::write(dir.path().join("texts.jsonl"), "{\"input_ids\": [1, 2, 3, 4, 5, 6, 7, 8]}\n")
        .unwrap();
    let weights = [&teacher, &student].map(|folder| {
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap());
        files.map(|file| file.len()).sum::<u64>()
    });
    const LIMIT: u64 = 96 << 20;
    assert!(weights.iter().sum::<u64>() > 4 * LIMIT, "{weights:?}");

    let output = Command::new("sh")
        .args(["-c", &format!("ulimit -d {} && exec \"$0\" \"$@\"", LIMIT >> 10)])
        .arg(env!("CARGO_BIN_EXE_boomerang-under-test"))
        .args(["eval", "--memory", "stream", "--device", "cpu", "--order", "last", "--teacher"])
        .arg(&teacher)
        .arg("--student")
        .arg(&student)
        .arg("--data")
        .arg(dir.path().join("texts.jsonl"))
        .arg("--out")
        .arg(dir.path().join("out"))
        .output()
        .unwrap();
    // A model of zeros finds all tokens equally likely.
    assert!(said(&output).contains("6.238"), "ln 512");
}

/// What a command says that cannot have the memory it needs.
fn refused_for_memory(model: &Path, weights: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_boomerang-under-test"))
        .args(["generate", "--device", "cpu", "--prompt", "a", "--weights", weights, "--model"])
        .arg(model)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[cfg(target_os = "linux")]
#[test]
fn a_model_of_a_trillion_parameters_is_refused_before_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model");
    write_sparse(&model, &config(16384, 65536, 256, 65536), 256);
    let tokenizer = json!({"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}});
    fs::write(model.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    for (weights, needed) in [
        ("f32", "in f32 needs about 3925."),
        ("q8_0", "in q8_0 needs about 1042."),
        ("stored", "as it is stored needs about 1962."),
    ] {
        let said = refused_for_memory(&model, weights);
        assert!(said.contains(needed), "{said}");
        assert_eq!(said.contains("--weights q8_0"), weights != "q8_0", "{said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_gguf_file_that_does_not_fit_in_memory_is_refused_before_it_is_read() {
    let mut metadata = Metadata::default();
    metadata.set("general.architecture", GgufValue::text("llama"));
    let sizes = [
        ("block_count", 1),
        ("embedding_length", 1 << 17),
        ("feed_forward_length", 128),
        ("attention.head_count", 1 << 10),
        ("context_length", 128),
    ];
    for (key, value) in sizes {
        metadata.set(format!("llama.{key}"), GgufValue::U32(value));
    }
    metadata.set("llama.attention.layer_norm_rms_epsilon", GgufValue::F32(1e-5));
    metadata.set("tokenizer.ggml.model", GgufValue::text("gpt2"));
    metadata.set("tokenizer.ggml.pre", GgufValue::text("gpt-2"));
    let texts = |texts: &[&str]| GgufValue::Array(GgufArray::of_texts(texts.iter()));
    metadata.set("tokenizer.ggml.tokens", texts(&["a"]));
    metadata.set("tokenizer.ggml.merges", texts(&[]));
    let (width, square) = (vec![1 << 17], vec![1 << 17, 1 << 17]);
    let tensors = [
        ("token_embd.weight", vec![1 << 17, 1 << 23]),
        ("output_norm.weight", width.clone()),
        ("blk.0.attn_norm.weight", width.clone()),
        ("blk.0.attn_q.weight", square.clone()),
        ("blk.0.attn_k.weight", square.clone()),
        ("blk.0.attn_v.weight", square.clone()),
        ("blk.0.attn_output.weight", square),
        ("blk.0.ffn_norm.weight", width),
        ("blk.0.ffn_gate.weight", vec![1 << 17, 128]),
        ("blk.0.ffn_up.weight", vec![1 << 17, 128]),
        ("blk.0.ffn_down.weight", vec![128, 1 << 17]),
    ];
    let kind = GgufType::F16;
    let n_bytes = |dims: &[usize]| kind.n_bytes(dims).unwrap();
    let announced =
        tensors.iter().map(|(name, dims)| Announced { name, dims, kind, n_bytes: n_bytes(dims) });
    let header = header(&metadata, announced);
    // All are multiples of the alignment.
    let n_bytes: usize = tensors.iter().map(|(_, dims)| n_bytes(dims)).sum();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.gguf");
    let mut file = File::create(&path).unwrap();
    file.write_all(&header).unwrap();
    file.set_len((header.len() + n_bytes) as u64).unwrap();
    let said = refused_for_memory(&path, "f32");
    assert!(said.contains("large.gguf in f32 needs about 4673.1 GB"), "{said}");
}
