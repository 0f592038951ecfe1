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
const OTHER_MAPPINGS: u64 = 2048;

/// Memory mappings of one client: each of its threads has a stack and a signal stack, each with a guard
/// page.
const MAPPINGS_PER_CLIENT: u64 = 4 * THREADS_PER_CLIENT;

/// Threads of one client: one that reads, and one that writes while the client is behind. All
/// clients may be behind at once: one busy room is enough.
pub const THREADS_PER_CLIENT: u64 = 2;

/// A limit of this host.
pub struct Limit {
    /// What is limited.
    pub name: &'static str,
    /// The limit, and how many clients it allows; `None`: it is not known here.
    pub is: Option<(u64, usize)>,
    /// How to raise it.
    pub remedy: &'static str,
}

/// The limits that decide how many connections fit.
pub fn limits() -> [Limit; 2] {
    let each = |most: u64, others, each| (most, clients(most, others, each));
    let files = descriptors().map(|most| each(most, OTHER_DESCRIPTORS, 1));
    let maps = mappings().map(|most| each(most, OTHER_MAPPINGS, MAPPINGS_PER_CLIENT));
    [
        Limit { name: "open files", is: files, remedy: "raise it with ulimit -n or LimitNOFILE=" },
        Limit {
            name: "memory mappings",
            is: maps,
            remedy: "raise it with sysctl vm.max_map_count",
        },
    ]
}

/// How many clients a limit allows of which the program needs some itself, and each client so many.
fn clients(most: u64, others: u64, each: u64) -> usize {
    usize::try_from(most.saturating_sub(others) / each).unwrap_or(usize::MAX)
}

/// The number of connections that fit, at most `wanted`. Warns if it is lower.
///
/// # Errors
/// A sentence with the remedy: not even one connection fits.
pub fn clip(wanted: usize) -> Result<usize, String> {
    let mut fitting = wanted;
    for Limit { name, is, remedy } in limits() {
        let Some((_, limit)) = is else { continue };
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

/// The limit of open files, after it is raised as far as possible.
#[cfg(unix)]
fn descriptors() -> Option<u64> {
    rlimit::increase_nofile_limit(u64::MAX).ok()
}

#[cfg(not(unix))]
fn descriptors() -> Option<u64> {
    None
}

/// The limit of memory mappings.
#[cfg(target_os = "linux")]
fn mappings() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()
}

#[cfg(not(target_os = "linux"))]
fn mappings() -> Option<u64> {
    None
}
