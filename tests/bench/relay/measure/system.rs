//! What the system tells about a process and about the machine.
//!
//! CPU time is read from the process's CPU clock: it counts in nanoseconds, for all threads, those
//! that have ended included. `/proc/PID/stat` holds the same sum, but in steps of 10 ms, of which
//! a short run has too few; `/proc/PID/task/*/schedstat` is as fine, but forgets ended threads.
//! What the kernel does for a process on other processors' time is in none of them.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

/// CPU time that a process has used.
pub fn cpu_of(process: u32) -> io::Result<Duration> {
    let process = i32::try_from(process).map_err(io::Error::other)?;
    Ok(clock_getcpuclockid(Pid::from_raw(process))?.now()?.into())
}

/// CPU time that this thread, the load generator's, has used.
pub fn own_cpu() -> io::Result<Duration> {
    Ok(ClockId::CLOCK_THREAD_CPUTIME_ID.now()?.into())
}

/// Memory that a process has resident now, in bytes.
pub fn resident(process: u32) -> io::Result<u64> {
    status(process, "VmRSS:").map(|kib| kib << 10)
}

/// The most that it ever had resident, in bytes.
pub fn peak_resident(process: u32) -> io::Result<u64> {
    status(process, "VmHWM:").map(|kib| kib << 10)
}

/// What is the most resident begins anew, at what is resident now (`proc_pid_clear_refs(5)`).
pub fn forget_peak(process: u32) -> io::Result<()> {
    fs::write(format!("/proc/{process}/clear_refs"), "5")
}

fn status(process: u32, field: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let value = status.lines().find_map(|line| line.strip_prefix(field));
    let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("no {field} in /proc/{process}/status")))
}

/// Segments with data that the sockets of a server have sent. A small message that is written
/// with Nagle's algorithm off leaves in one segment, so between two readings this counts write
/// calls; `/proc/PID/io` does not, for it leaves out `send`. `None` where `ss` is not installed.
pub fn segments_sent_from(server: SocketAddr) -> Option<u64> {
    let filter = format!("sport = :{}", server.port());
    let output = Command::new("ss").args(["-tinH", "state", "established", &filter]).output();
    let output = output.ok().filter(|output| output.status.success())?;
    let words = String::from_utf8(output.stdout).ok()?;
    let counts = words.split_whitespace().filter_map(|word| word.strip_prefix("data_segs_out:"));
    Some(counts.filter_map(|count| count.parse::<u64>().ok()).sum())
}

/// One line about the machine, without which no figure means anything.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = line_of("/proc/sys/kernel/osrelease");
    let control = line_of("/proc/sys/net/ipv4/tcp_congestion_control");
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, model)| model);
    format!("{cores} cores of {model}, Linux {kernel}, TCP congestion control {control}")
}

fn line_of(file: &str) -> String {
    fs::read_to_string(file).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}
