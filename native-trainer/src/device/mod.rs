//! Where to compute, and why.
//!
//! Deciding is arithmetic on a list of adapters and has no effect; only [`choose`] opens a device.

mod adapters;
#[cfg(feature = "wgpu")]
mod gpu;
mod peak;

use std::ops::Range;

use burn::tensor::Device;

pub use adapters::{Adapter, AdapterKind, Api, Limits, adapters};
pub use peak::measured_peak;

use crate::exit::Exit;

/// What the user asks for with `--device`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DeviceChoice {
    /// A hardware GPU if there is one, else the CPU
    Auto,
    /// The CPU
    Cpu,
    /// The best adapter through Vulkan, Metal, DX12 or OpenGL, even a software one
    Wgpu,
    /// An NVIDIA GPU through CUDA
    Cuda,
}

/// An open device.
#[derive(Clone, Debug)]
pub struct ChosenDevice {
    pub device: Device,
    /// The hardware, e.g. `CPU, 8 threads`.
    pub description: String,
    /// Why this one.
    pub reason: String,
}

/// The result of a choice on one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<'adapters> {
    pub target: Target<'adapters>,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'adapters> {
    Cpu,
    Adapter(&'adapters Adapter),
    Cuda,
}

/// The CPU, for what is not worth a GPU.
pub fn cpu() -> Device {
    Device::flex()
}

/// Whether this program was built with GPUs through wgpu.
pub const HAS_WGPU: bool = cfg!(feature = "wgpu");
const HAS_CUDA: bool = cfg!(feature = "cuda");

/// Opens the chosen device; one that is already open is reused.
///
/// # Errors
/// When the device asked for does not exist or cannot be opened. `auto` falls back to the CPU.
pub fn choose(choice: DeviceChoice) -> anyhow::Result<ChosenDevice> {
    let Decision { target, reason } = decide(choice, listed(choice))?;
    match target {
        Target::Cpu => Ok(on_cpu(reason)),
        Target::Cuda => open_cuda(0, reason),
        Target::Adapter(adapter) => match open_adapter(adapter) {
            Ok((device, description)) => Ok(ChosenDevice { device, description, reason }),
            Err(fault) if choice == DeviceChoice::Auto => {
                Ok(on_cpu(format!("{adapter} cannot be opened: {fault}")))
            }
            Err(fault) => Err(Exit::Usage.error(format!("{adapter} cannot be opened: {fault}"))),
        },
    }
}

/// Opens devices of the chosen kind by their numbers, from 0; on the CPU all of them are the CPU.
///
/// # Errors
/// As [`choose`], and when there are not as many.
pub fn choose_several(
    choice: DeviceChoice,
    numbers: Range<usize>,
) -> anyhow::Result<Vec<ChosenDevice>> {
    let Decision { target, reason } = decide(choice, listed(choice))?;
    if numbers == (0..1) || target == Target::Cpu {
        return Ok(vec![choose(choice)?; numbers.len()]);
    }
    let Target::Adapter(best) = target else {
        return numbers.map(|index| open_cuda(index, reason.clone())).collect();
    };
    let alike: Vec<&Adapter> = listed(choice)
        .iter()
        .filter(|adapter| (adapter.kind, adapter.api) == (best.kind, best.api))
        .collect();
    if alike.len() < numbers.end {
        return Err(Exit::Usage.error(format!(
            "{} devices of this machine are asked for, and there are {} like {best}",
            numbers.end,
            alike.len()
        )));
    }
    let open = |adapter: &&Adapter| match open_adapter(adapter) {
        Ok((device, description)) => {
            Ok(ChosenDevice { device, description, reason: reason.clone() })
        }
        Err(fault) => Err(Exit::Usage.error(format!("{adapter} cannot be opened: {fault}"))),
    };
    alike[numbers].iter().map(open).collect()
}

/// Loading every driver takes a moment, so it is skipped where the choice needs none.
fn listed(choice: DeviceChoice) -> &'static [Adapter] {
    match choice {
        DeviceChoice::Auto | DeviceChoice::Wgpu => adapters(),
        DeviceChoice::Cpu | DeviceChoice::Cuda => &[],
    }
}

/// The result of a choice on a machine with these adapters.
///
/// # Errors
/// When the device asked for does not exist: names what to install or build.
pub fn decide(choice: DeviceChoice, adapters: &[Adapter]) -> anyhow::Result<Decision<'_>> {
    let decision = |target, reason: &str| Ok(Decision { target, reason: reason.to_owned() });
    let best = adapters
        .iter()
        .filter(|adapter| adapter.kind != AdapterKind::Other)
        .min_by_key(|adapter| adapter.kind);
    match (choice, best) {
        (DeviceChoice::Cpu, _) => decision(Target::Cpu, "--device cpu"),
        (DeviceChoice::Auto, Some(adapter)) if adapter.kind.is_gpu() => {
            decision(Target::Adapter(adapter), "the best GPU found")
        }
        (DeviceChoice::Auto, Some(adapter)) => {
            let reason = format!("no GPU found, only {}", adapter.name);
            decision(Target::Cpu, &reason)
        }
        (DeviceChoice::Auto, None) if HAS_WGPU => decision(Target::Cpu, "no GPU found"),
        (DeviceChoice::Auto, None) => decision(Target::Cpu, "built without GPU support"),
        (DeviceChoice::Wgpu, Some(adapter)) if adapter.kind == AdapterKind::Software => decision(
            Target::Adapter(adapter),
            "--device wgpu; a software adapter on the CPU, for tests, slower than --device cpu",
        ),
        (DeviceChoice::Wgpu, Some(adapter)) => decision(Target::Adapter(adapter), "--device wgpu"),
        (DeviceChoice::Wgpu, None) if HAS_WGPU => Err(Exit::Usage.error(
            "--device wgpu: no adapter found; install the GPU driver (on Debian and Ubuntu the \
             packages libvulkan1 and mesa-vulkan-drivers, which also bring a software \
             adapter), or use --device cpu",
        )),
        (DeviceChoice::Wgpu, None) => Err(Exit::Usage.error(
            "--device wgpu: built without wgpu; rebuild with \
             `cargo build --release --features wgpu`, or use --device cpu",
        )),
        (DeviceChoice::Cuda, _) if HAS_CUDA => decision(Target::Cuda, "--device cuda"),
        (DeviceChoice::Cuda, _) => Err(Exit::Usage.error(
            "--device cuda: built without CUDA; rebuild with \
             `cargo build --release --features cuda`, or use --device auto",
        )),
    }
}

fn on_cpu(reason: String) -> ChosenDevice {
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
    ChosenDevice { device: cpu(), description: format!("CPU, {n_threads} threads"), reason }
}

#[cfg(feature = "wgpu")]
use gpu::open as open_adapter;

#[cfg(not(feature = "wgpu"))]
fn open_adapter(_: &Adapter) -> Result<(Device, String), String> {
    Err("built without wgpu".to_owned())
}

#[cfg(feature = "cuda")]
fn open_cuda(index: usize, reason: String) -> anyhow::Result<ChosenDevice> {
    use burn::tensor::DeviceType;
    let n_found = Device::enumerate(DeviceType::Cuda).len();
    if n_found <= index {
        return Err(Exit::Usage.error(format!(
            "--device cuda: found {n_found} of {} NVIDIA GPUs; check what `nvidia-smi` lists",
            index + 1
        )));
    }
    let device = Device::cuda(index);
    let name = device.identity().map_or_else(|| "NVIDIA GPU".to_owned(), |found| found.name);
    Ok(ChosenDevice { device, description: format!("{name} (CUDA)"), reason })
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(_: usize, _: String) -> anyhow::Result<ChosenDevice> {
    Err(Exit::Usage.error("--device cuda: built without CUDA"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::code_of;

    fn adapter(name: &str, kind: AdapterKind) -> Adapter {
        Adapter {
            name: name.to_owned(),
            kind,
            api: Api::Vulkan,
            driver: String::new(),
            limits: Limits {
                max_buffer_bytes: 1 << 30,
                max_storage_binding_bytes: 1 << 27,
                max_workgroup_size: [256, 256, 64],
                max_workgroup_invocations: 256,
            },
            f16: false,
            subgroups: None,
            index: 0,
        }
    }

    #[test]
    fn a_discrete_gpu_is_preferred() {
        let adapters =
            [AdapterKind::Software, AdapterKind::IntegratedGpu, AdapterKind::DiscreteGpu]
                .map(|kind| adapter("any", kind));
        for choice in [DeviceChoice::Auto, DeviceChoice::Wgpu] {
            let decision = decide(choice, &adapters).unwrap();
            assert_eq!(decision.target, Target::Adapter(&adapters[2]));
        }
    }

    #[test]
    fn a_software_adapter_is_used_only_when_asked_for() {
        let adapters = [adapter("llvmpipe", AdapterKind::Software)];
        let auto = decide(DeviceChoice::Auto, &adapters).unwrap();
        assert_eq!(auto.target, Target::Cpu);
        assert!(auto.reason.contains("only llvmpipe"));
        let asked = decide(DeviceChoice::Wgpu, &adapters).unwrap();
        assert_eq!(asked.target, Target::Adapter(&adapters[0]));
        assert!(asked.reason.contains("software adapter on the CPU"));
    }

    #[test]
    fn without_an_adapter_auto_selects_the_cpu_and_wgpu_is_refused() {
        assert_eq!(decide(DeviceChoice::Auto, &[]).unwrap().target, Target::Cpu);
        let refusal = decide(DeviceChoice::Wgpu, &[]).unwrap_err();
        assert_eq!(code_of(&refusal), Exit::Usage);
    }

    #[test]
    fn the_cpu_is_used_when_asked_for() {
        let adapters = [adapter("GPU", AdapterKind::DiscreteGpu)];
        assert_eq!(decide(DeviceChoice::Cpu, &adapters).unwrap().target, Target::Cpu);
    }

    #[test]
    fn choosing_twice_gives_the_same_device() {
        let [first, second] = [DeviceChoice::Auto; 2].map(|choice| choose(choice).unwrap());
        assert_eq!(first.device, second.device);
        assert_eq!(first.description, second.description);
    }
}
