//! The program: arguments, log, start, and wait for a signal.

#![warn(clippy::unwrap_used)]

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ErrorKind};
use wsroom::logging;
use wsroom::options::Options;
use wsroom::server::Server;

fn main() -> ExitCode {
    match Options::try_parse().map_err(|error| refuse(&error)).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            let _ = writeln!(io::stderr(), "wsroom: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    logging::start(options)?;
    let server = Server::start(options).map_err(|error| error.to_string())?;
    greet(server.address());
    wait_for_signal()?;
    log::info!("stopping");
    server.stop();
    Ok(())
}

/// A bad value becomes one line and exit status 1. Wrong usage, `--help` and `--version` are
/// clap's: it prints and exits (2 and 0).
fn refuse(error: &clap::Error) -> String {
    if error.kind() != ErrorKind::ValueValidation {
        error.exit();
    }
    let named = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let option = named(ContextKind::InvalidArg);
    let option = option.split(' ').next().unwrap_or_default();
    let remedy = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    format!("{option} {:?}: {remedy}", named(ContextKind::InvalidValue))
}

/// What a person needs. A closed standard output is no reason not to serve.
fn greet(address: SocketAddr) {
    let mut lines =
        String::from("wsroom is running. Open one of these pages, here and elsewhere:\n");
    for address in addresses(address) {
        lines += &format!("  http://{address}/\n");
    }
    lines += "Everyone on the page hears everyone else. Ctrl-C stops it.\n";
    let mut out = io::stdout();
    let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
}

/// The addresses under which a listener on `address` can be reached: when it listens on all,
/// those of this host's interfaces, the ones for others first.
fn addresses(address: SocketAddr) -> Vec<SocketAddr> {
    if !address.ip().is_unspecified() {
        return vec![address];
    }
    let mut interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    // A link-local address needs a zone, and browsers take none.
    interfaces.retain(|interface| !interface.is_link_local());
    // `[::]` takes IPv4 too, `0.0.0.0` nothing else.
    interfaces.retain(|interface| address.is_ipv6() || interface.ip().is_ipv4());
    interfaces.sort_by_key(|interface| (interface.is_loopback(), interface.ip().is_ipv6()));
    interfaces.iter().map(|interface| SocketAddr::new(interface.ip(), address.port())).collect()
}

/// Blocks until SIGINT or SIGTERM. From then on a second one ends the program at once.
#[cfg(unix)]
fn wait_for_signal() -> Result<(), String> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    let stopping = Arc::new(AtomicBool::new(false));
    let failed = |error: io::Error| format!("signals cannot be handled: {error}");
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stopping))
            .map_err(failed)?;
    }
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    signals.forever().next();
    stopping.store(true, Ordering::Release);
    Ok(())
}

/// Without signals the system ends the program, and with it every connection.
#[cfg(not(unix))]
fn wait_for_signal() -> Result<(), String> {
    loop {
        std::thread::park();
    }
}
