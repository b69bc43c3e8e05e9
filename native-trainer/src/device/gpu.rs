//! Adapters and devices through wgpu.

use std::sync::{Mutex, PoisonError};

use burn::tensor::wgpu::{WgpuBackend, wgpu};
use burn::tensor::{Device, DeviceKind};
use futures_lite::future::block_on;

use super::adapters::{Adapter, AdapterKind, Api, Limits};

/// The APIs that burn can run on, best first.
const APIS: &[(Api, wgpu::Backend, WgpuBackend)] = &[
    (Api::Vulkan, wgpu::Backend::Vulkan, WgpuBackend::Vulkan),
    (Api::Metal, wgpu::Backend::Metal, WgpuBackend::Metal),
    (Api::Dx12, wgpu::Backend::Dx12, WgpuBackend::Dx12),
    (Api::OpenGl, wgpu::Backend::Gl, WgpuBackend::Gl),
];

/// Adapters API by API, up to the first API that reaches a GPU.
///
/// A later API would list the same hardware again, as burn sees it too.
pub(super) fn enumerate() -> Vec<Adapter> {
    let mut found = Vec::<Adapter>::new();
    for &(_, backend, _) in APIS {
        if found.iter().any(|adapter| adapter.kind.is_gpu()) {
            break;
        }
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: backend.into(),
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        for adapter in block_on(instance.enumerate_adapters(backend.into())) {
            let mut adapter = describe(&adapter);
            let alike = |other: &&Adapter| (other.kind, other.api) == (adapter.kind, adapter.api);
            adapter.index = found.iter().filter(alike).count();
            found.push(adapter);
        }
    }
    found
}

fn describe(adapter: &wgpu::Adapter) -> Adapter {
    let about = adapter.get_info();
    let (limits, features) = (adapter.limits(), adapter.features());
    Adapter {
        name: about.name,
        kind: match about.device_type {
            wgpu::DeviceType::DiscreteGpu => AdapterKind::DiscreteGpu,
            wgpu::DeviceType::IntegratedGpu => AdapterKind::IntegratedGpu,
            wgpu::DeviceType::VirtualGpu => AdapterKind::VirtualGpu,
            wgpu::DeviceType::Cpu => AdapterKind::Software,
            wgpu::DeviceType::Other => AdapterKind::Other,
        },
        api: match about.backend {
            wgpu::Backend::Metal => Api::Metal,
            wgpu::Backend::Dx12 => Api::Dx12,
            wgpu::Backend::Gl => Api::OpenGl,
            _ => Api::Vulkan,
        },
        driver: format!("{} {}", about.driver, about.driver_info).trim().to_owned(),
        limits: Limits {
            max_buffer_bytes: limits.max_buffer_size,
            max_storage_binding_bytes: limits.max_storage_buffer_binding_size,
            max_workgroup_size: [
                limits.max_compute_workgroup_size_x,
                limits.max_compute_workgroup_size_y,
                limits.max_compute_workgroup_size_z,
            ],
            max_workgroup_invocations: limits.max_compute_invocations_per_workgroup,
        },
        f16: features.contains(wgpu::Features::SHADER_F16),
        subgroups: features
            .contains(wgpu::Features::SUBGROUP)
            .then_some((about.subgroup_min_size, about.subgroup_max_size)),
        index: 0,
    }
}

/// Opens the adapter; the name returned is that of the adapter in use.
///
/// burn's runtime starts once per adapter, so a second call returns the device of the first.
pub(super) fn open(adapter: &Adapter) -> Result<(Device, String), String> {
    type Opened = Vec<((AdapterKind, Api, usize), Result<(Device, String), String>)>;
    static OPENED: Mutex<Opened> = Mutex::new(Vec::new());
    let key = (adapter.kind, adapter.api, adapter.index);
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, device)) = opened.iter().find(|(other, _)| *other == key) {
        return device.clone();
    }
    let device = start(adapter);
    opened.push((key, device.clone()));
    device
}

fn start(adapter: &Adapter) -> Result<(Device, String), String> {
    let kind = match adapter.kind {
        AdapterKind::DiscreteGpu => DeviceKind::DiscreteGpu(adapter.index),
        AdapterKind::IntegratedGpu => DeviceKind::IntegratedGpu(adapter.index),
        AdapterKind::VirtualGpu => DeviceKind::VirtualGpu(adapter.index),
        AdapterKind::Software => DeviceKind::Cpu,
        AdapterKind::Other => return Err("burn cannot select adapters of unknown kind".to_owned()),
    };
    let api = APIS.iter().find(|row| row.0 == adapter.api).map_or(WgpuBackend::Auto, |row| row.2);
    let (device, setup) = Device::wgpu_options()
        .device_kind(kind)
        .graphics_api(api)
        .init_with_setup()
        .map_err(|error| error.to_string())?;
    Ok((device, describe(&setup.adapter).to_string()))
}
