//! How many connections this host can really hold.
//!
//! Better refused at the door with a 503 than out of descriptors, or ended by the system: a
//! process that runs out of memory mappings dies inside the start of a thread. Runs once, at the
//! start.

/// Descriptors for all that is not a client: standard streams, log file, listener, the lines to
/// tiny_http (three each), signals, and connections that are just being turned away.
const OTHER_DESCRIPTORS: u64 = 48;

/// Mappings of all that is not a client's: binary, libraries, heap arenas, the program's own
/// threads; connections that are just passing from the door to a thread of their own, and stacks
/// that glibc keeps for the next thread (40 MiB of them).
#[cfg(target_os = "linux")]
const OTHER_MAPPINGS: u64 = 2048;

/// Mappings that one thread takes: its stack and its signal stack, each with a guard page.
#[cfg(target_os = "linux")]
const MAPPINGS_PER_THREAD: u64 = 4;

/// A client has one thread that reads, and while it is behind one that writes. All may be behind
/// at once: a room with too much to say is enough.
#[cfg(target_os = "linux")]
const THREADS_PER_CLIENT: u64 = 2;

/// `wanted`, or as many as fit, with a warning.
///
/// # Errors
/// Not even one fits.
pub fn clip(wanted: usize) -> Result<usize, String> {
    let mut fitting = wanted;
    for (limit, name, remedy) in [
        (descriptors(), "open files", "raise it with ulimit -n or LimitNOFILE="),
        (mappings(), "memory mappings", "raise it with sysctl vm.max_map_count"),
    ] {
        let Some(limit) = limit else { continue };
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

/// Clients that the limit of open files allows, once it is raised as far as it goes.
#[cfg(unix)]
fn descriptors() -> Option<usize> {
    let limit = rlimit::increase_nofile_limit(u64::MAX).ok()?;
    usize::try_from(limit.saturating_sub(OTHER_DESCRIPTORS)).ok()
}

#[cfg(not(unix))]
fn descriptors() -> Option<usize> {
    None
}

/// Clients that the limit of memory mappings allows.
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
