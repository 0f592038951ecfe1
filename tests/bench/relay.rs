//! `cargo bench`: what relaying costs, beside what it must cost at least on this machine.
//!
//! It starts the program as its own process, drives it over loopback, and does the same with a
//! *floor*: one thread that does nothing but send the same bytes to the same number of sockets.
//! Both take turns, round by round, so that a busy neighbour hurts both; what is printed are
//! ratios, and the medians of the rounds. `cargo bench --bench relay -- --help` tells the options.
//!
//! Not here: any claim about what is good enough. The README names the targets.

#[cfg(target_os = "linux")]
#[path = "relay/mod.rs"]
mod relay;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    relay::main()
}

/// CPU time and memory of another process are read from Linux.
#[cfg(not(target_os = "linux"))]
fn main() {
    println!("this benchmark reads the system's figures as Linux gives them: nothing was run");
}
