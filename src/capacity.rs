//! How many connections this host can really hold.
//!
//! `--max-clients` is lowered to that number, because a 503 is better than a failure: without
//! descriptors `accept` fails, and without memory mappings the process dies while it starts a
//! thread. Runs once, at the start, on the main thread. Not here: counting connections
//! (`net::slots`).

/// Descriptors that are not for clients: standard streams, log file, listener, the upstreams to
/// tiny_http (three each), signals, and connections that are being turned away.
const OTHER_DESCRIPTORS: u64 = 48;

/// Memory mappings that are not for clients: binary, libraries, heap arenas, the program's own
/// threads, those that rest, connections that move from the door's thread to the client's, and the
/// stacks that glibc keeps for the next thread (40 MiB of them).
#[cfg(target_os = "linux")]
const OTHER_MAPPINGS: u64 = 2048;

/// Memory mappings of one thread: its stack and its signal stack, each with a guard page.
#[cfg(target_os = "linux")]
const MAPPINGS_PER_THREAD: u64 = 4;

/// Threads of one client: one that reads, and one that writes while the client is behind. All
/// clients may be behind at once: one busy room is enough.
#[cfg(target_os = "linux")]
const THREADS_PER_CLIENT: u64 = 2;

/// A limit of this host.
pub struct Limit {
    /// What is limited.
    pub name: &'static str,
    /// How many clients it allows; `None`: it is not known here.
    pub allows: Option<usize>,
    /// How to raise it.
    pub remedy: &'static str,
}

/// The limits that decide how many connections fit.
pub fn limits() -> [Limit; 2] {
    let files = "raise it with ulimit -n or LimitNOFILE=";
    let maps = "raise it with sysctl vm.max_map_count";
    [
        Limit { name: "open files", allows: descriptors(), remedy: files },
        Limit { name: "memory mappings", allows: mappings(), remedy: maps },
    ]
}

/// The number of connections that fit, at most `wanted`. Warns if it is lower.
///
/// # Errors
/// A sentence with the remedy: not even one connection fits.
pub fn clip(wanted: usize) -> Result<usize, String> {
    let mut fitting = wanted;
    for Limit { name, allows, remedy } in limits() {
        let Some(limit) = allows else { continue };
        if limit == 0 {
            return Err(format!("the limit of {name} leaves no room for a client; {remedy}"));
        }
        if limit < fitting {
            log::warn!("--max-clients {wanted}: the limit of {name} allows {limit}; {remedy}");
            fitting = limit;
        }
    }
    Ok(fitting)
}

/// How many clients the limit of open files allows, after it is raised as far as possible.
#[cfg(unix)]
fn descriptors() -> Option<usize> {
    let limit = rlimit::increase_nofile_limit(u64::MAX).ok()?;
    usize::try_from(limit.saturating_sub(OTHER_DESCRIPTORS)).ok()
}

#[cfg(not(unix))]
fn descriptors() -> Option<usize> {
    None
}

/// How many clients the limit of memory mappings allows.
#[cfg(target_os = "linux")]
fn mappings() -> Option<usize> {
    let limit: u64 =
        std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()?;
    let each = THREADS_PER_CLIENT * MAPPINGS_PER_THREAD;
    usize::try_from(limit.saturating_sub(OTHER_MAPPINGS) / each).ok()
}

#[cfg(not(target_os = "linux"))]
fn mappings() -> Option<usize> {
    None
}
