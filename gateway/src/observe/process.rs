//! What the system says of this process.

use std::fs;

/// Figures under the names that every Prometheus client library uses; None where the system tells nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) cpu_s: Option<f64>,
    pub(super) resident_bytes: Option<f64>,
    pub(super) virtual_bytes: Option<f64>,
    pub(super) open_fds: Option<f64>,
    pub(super) max_fds: Option<f64>,
    pub(super) start_s: Option<f64>,
    /// What it may use.
    pub(super) memory_limit_bytes: Option<f64>,
}

/// USER_HZ: what `/proc` counts time in, on every architecture Rust has a Linux target for.
const TICKS_PER_S: f64 = 100.0;

impl Usage {
    /// Reads `/proc`.
    pub(super) fn of_this_process() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let open_fds = fs::read_dir("/proc/self/fd").ok();
        Self {
            // One of the entries is the descriptor that lists them.
            open_fds: open_fds.map(|fds| fds.count().saturating_sub(1) as f64),
            memory_limit_bytes: memory_limit(&read("/proc/self/cgroup"), |path| {
                fs::read_to_string(path).ok()
            }),
            ..Self::parse(
                &read("/proc/self/stat"),
                &read("/proc/self/status"),
                &read("/proc/self/limits"),
                &read("/proc/stat"),
            )
        }
    }

    /// Processor time and memory alone: this takes no longer with more connections.
    pub(super) fn brief() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self::parse(&read("/proc/self/stat"), &read("/proc/self/status"), "", "")
    }

    fn parse(stat: &str, status: &str, limits: &str, system: &str) -> Self {
        let booted_s = value_of(system, "btime");
        Self {
            cpu_s: ticks(stat, UTIME).zip(ticks(stat, STIME)).map(|(u, s)| u + s),
            resident_bytes: value_of(status, "VmRSS:").map(|kib| kib * 1024.0),
            virtual_bytes: value_of(status, "VmSize:").map(|kib| kib * 1024.0),
            open_fds: None,
            max_fds: value_of(limits, "Max open files"),
            start_s: booted_s.zip(ticks(stat, STARTTIME)).map(|(b, s)| b + s),
            memory_limit_bytes: None,
        }
    }
}

/// The least of what the control groups that the process is in allow (cgroup v2; the innermost last), and of what the
/// machine has. `membership` is what `/proc/self/cgroup` says.
fn memory_limit(membership: &str, read: impl Fn(&str) -> Option<String>) -> Option<f64> {
    const ROOT: &str = "/sys/fs/cgroup";
    let group = membership.lines().find_map(|line| line.strip_prefix("0::"));
    // Within a container the path may lead out of what it sees; its own group is the root then.
    let own = group.unwrap_or("/").trim_end_matches('/');
    let ends = own.match_indices('/').map(|(at, _)| at).chain([own.len()]);
    let limits = ends.filter_map(|end| {
        let text = read(&format!("{ROOT}{}/memory.max", &own[..end]))?;
        text.trim().parse::<f64>().ok()
    });
    let machine = read("/proc/meminfo").and_then(|text| value_of(&text, "MemTotal:"));
    limits.chain(machine.map(|kib| kib * 1024.0)).reduce(f64::min)
}

/// Fields of `/proc/self/stat` as proc(5) numbers them.
const UTIME: usize = 14;
const STIME: usize = 15;
const STARTTIME: usize = 22;

fn ticks(stat: &str, field: usize) -> Option<f64> {
    // Field 2, the program's name, may hold spaces and brackets: count from behind its end.
    let (_, after_name) = stat.rsplit_once(')')?;
    let ticks: f64 = after_name.split_ascii_whitespace().nth(field - 3)?.parse().ok()?;
    Some(ticks / TICKS_PER_S)
}

/// The first word behind `key` on the line that starts with it.
fn value_of(text: &str, key: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    match line.split_ascii_whitespace().next()? {
        "unlimited" => Some(f64::INFINITY),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 250 150 0 0 20 0 5 0 12345 99 88 77";
    const STATUS: &str = "Name:\tsluice\nVmSize:\t  200 kB\nVmRSS:\t   100 kB\nThreads:\t5\n";
    const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units\n\
                          Max open files            1024                 524288               files\n";
    const SYSTEM: &str = "cpu  1 2 3\nbtime 1700000000\nprocesses 7\n";

    #[test]
    fn the_figures_are_read_from_where_proc_has_them() {
        let usage = Usage::parse(STAT, STATUS, LIMITS, SYSTEM);
        let expected = Usage {
            cpu_s: Some(4.0),
            resident_bytes: Some(102_400.0),
            virtual_bytes: Some(204_800.0),
            open_fds: None,
            max_fds: Some(1024.0),
            start_s: Some(1_700_000_123.45),
            memory_limit_bytes: None,
        };
        assert_eq!(usage, expected);
    }

    #[test]
    fn what_cannot_be_read_is_not_told() {
        assert_eq!(Usage::parse("", "", "", ""), Usage::default());
        assert_eq!(
            Usage::parse("1 (x) S 1", "VmRSS: much", "Max", "btime"),
            Usage::default()
        );
        let unlimited = Usage::parse("", "", "Max open files  unlimited unlimited files", "");
        assert_eq!(unlimited.max_fds, Some(f64::INFINITY));
    }

    #[test]
    fn the_memory_that_may_be_used_is_the_least_of_all_limits() {
        let limit = |membership: &str, files: &[(&str, &str)]| {
            memory_limit(membership, |path| {
                let found = files.iter().find(|(name, _)| *name == path);
                found.map(|(_, text)| (*text).to_owned())
            })
        };
        let machine = ("/proc/meminfo", "MemFree: 1 kB\nMemTotal:     2000 kB\n");
        let outer = ("/sys/fs/cgroup/a/memory.max", "1000000\n");
        let inner = ("/sys/fs/cgroup/a/b.service/memory.max", "max\n");
        let root = ("/sys/fs/cgroup/memory.max", "1500000\n");
        assert_eq!(
            limit("0::/a/b.service\n", &[machine, outer, inner]),
            Some(1_000_000.0)
        );
        assert_eq!(limit("0::/a/b.service\n", &[machine, inner]), Some(2_048_000.0));
        assert_eq!(limit("0::/\n", &[machine, root]), Some(1_500_000.0));
        assert_eq!(limit("5:memory:/a\n", &[machine, root]), Some(1_500_000.0));
        assert_eq!(limit("", &[]), None);
    }

    #[test]
    fn this_process_has_memory_and_open_files() {
        let usage = Usage::of_this_process();
        assert!(usage.resident_bytes.is_some_and(|n| n > 0.0));
        assert!(
            usage
                .open_fds
                .zip(usage.max_fds)
                .is_some_and(|(open, max)| open > 0.0 && open <= max)
        );
        assert!(usage.start_s.is_some_and(|s| s > 1_700_000_000.0));
        assert!(usage.cpu_s.is_some() && usage.virtual_bytes.is_some());
        assert!(usage.memory_limit_bytes >= usage.resident_bytes);
    }
}
