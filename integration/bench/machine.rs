//! What a run of `make bench` ran on: the machine, and the versions of what took part. Does not know what is measured.

use std::collections::BTreeMap;
use std::fs;

use crate::harness::version;

/// What a reader needs to judge the figures.
pub(crate) fn facts() -> BTreeMap<String, String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kilobytes: u64 =
        field(&read("/proc/meminfo"), "MemTotal").split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let model = field(&read("/proc/cpuinfo"), "model name");
    let daemons = format!(
        "BuildKit {}, buildx {}, registry {}, runc {}",
        version("KSO_BUILDKIT_VERSION"),
        version("KSO_BUILDX_VERSION"),
        version("KSO_REGISTRY_VERSION"),
        version("KSO_RUNC_VERSION"),
    );
    let release = read("/proc/sys/kernel/osrelease");
    let kernel: Vec<&str> = release.trim().split('.').take(2).collect();
    BTreeMap::from([
        ("kernel".to_owned(), kernel.join(".")),
        ("memory".to_owned(), format!("{} GB", kilobytes / 1_000_000)),
        ("processor".to_owned(), format!("{cores} cores of {model}")),
        ("programs".to_owned(), daemons),
    ])
}
