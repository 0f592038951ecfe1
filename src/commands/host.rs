//! What this host has to give: descriptors, tasks, memory mappings, memory, and the time.
//!
//! Linux tells all of it; elsewhere some lines are missing. Not here: what the server makes of it at its
//! start (`capacity`). Runs on the main thread.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::check::Finding;
use crate::capacity::{self, Limit, THREADS_PER_CLIENT};
use crate::options::Options;

/// Memory of a server without clients, and of an idle client, plain and over TLS, in bytes: see *Memory*
/// in the README.
const FIXED_BYTES: u64 = 24 << 20;
const CLIENT_BYTES: u64 = 10_600;
const TLS_CLIENT_BYTES: u64 = 22_600;

/// No clock of a host that is well shows a time before 2025.
const YEAR_2025: u64 = 1_735_689_600;

/// Looks at this host.
pub fn look(options: &Options) -> Vec<Finding> {
    let wanted = options.max_clients;
    let limits = capacity::limits();
    let tasks = Limit {
        name: "tasks",
        is: tasks().map(|most| (most, clients_of(most / THREADS_PER_CLIENT))),
        remedy: "raise it with TasksMax=, ulimit -u or sysctl kernel.threads-max",
    };
    let limits: Vec<_> = limits.into_iter().chain([tasks]).collect();
    let mut findings: Vec<_> = limits.iter().filter_map(|limit| limit_of(limit, wanted)).collect();
    let fitting = limits
        .iter()
        .filter_map(|limit| limit.is)
        .map(|(_, clients)| clients)
        .fold(wanted, usize::min);
    findings.extend(memory(options, fitting as u64));
    findings.push(Finding::ok(
        "clients",
        format!("this host holds {fitting} at once (--max-clients {wanted})"),
    ));
    findings.push(clock());
    findings
}

fn limit_of(Limit { name, is, remedy }: &Limit, wanted: usize) -> Option<Finding> {
    let (most, clients) = (*is)?;
    let says = format!("{most}, enough for {clients} clients");
    Some(match clients {
        0 => Finding::error(name, format!("{most} leaves no room for a client; {remedy}")),
        few if few < wanted => {
            Finding::warning(name, format!("{says}, not for --max-clients {wanted}; {remedy}"))
        }
        _ => Finding::ok(name, says),
    })
}

fn clients_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The most tasks (threads) of this user, this control group and this system.
fn tasks() -> Option<u64> {
    let system = number(Path::new("/proc/sys/kernel/threads-max"));
    let ids = number(Path::new("/proc/sys/kernel/pid_max"));
    let group = group_limits("pids.max").min();
    [system, ids, group, user_tasks()].into_iter().flatten().min()
}

#[cfg(unix)]
fn user_tasks() -> Option<u64> {
    rlimit::Resource::NPROC.get().ok().map(|(soft, _)| soft)
}

#[cfg(not(unix))]
fn user_tasks() -> Option<u64> {
    None
}

fn memory(options: &Options, clients: u64) -> Option<Finding> {
    let available = available_memory()?;
    let has_tls = options.tls_self_signed || options.tls_cert.is_some();
    let each = if has_tls { TLS_CLIENT_BYTES } else { CLIENT_BYTES };
    let needed = FIXED_BYTES + clients * each;
    let says =
        format!("{} are free, and {clients} idle clients take {}", mib(available), mib(needed));
    Some(if needed > available {
        Finding::warning("memory", format!("{says}; give it more, or lower --max-clients"))
    } else {
        Finding::ok("memory", says)
    })
}

/// What the system can give without swapping, at most what this control group may still take.
fn available_memory() -> Option<u64> {
    let all = fs::read_to_string("/proc/meminfo").ok()?;
    let line = all.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let free = line.split_whitespace().next()?.parse::<u64>().ok()? << 10;
    let group = group_limits("memory.max").min();
    Some(group.map_or(free, |group| group.min(free)))
}

/// The limits of this control group (version 2) and of those around it. `max` is none.
fn group_limits(file: &str) -> impl Iterator<Item = u64> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default().to_owned();
    let root = Path::new("/sys/fs/cgroup");
    let groups: Vec<_> = root.join(own).ancestors().map(Path::to_owned).collect();
    let groups = groups.into_iter().take_while(move |group| group.starts_with(root));
    groups.filter_map(move |group| number(&group.join(file)))
}

fn clock() -> Finding {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = humantime::format_rfc3339_seconds(SystemTime::now());
    if since.as_secs() < YEAR_2025 {
        let says = format!("it is {now}: set it, or no certificate is good and ids are wrong");
        return Finding::error("clock", says);
    }
    // systemd-timesyncd makes this file when it has asked a time server.
    let is_set = Path::new("/run/systemd/timesync/synchronized").exists();
    Finding::ok("clock", format!("{now}{}", if is_set { ", set by NTP" } else { "" }))
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
