//! The program: arguments; then a command, or the server: log, start, and wait for a signal.

#![warn(clippy::unwrap_used)]

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
#[cfg(unix)]
use std::sync::Arc;
#[cfg(unix)]
use std::sync::atomic::{AtomicBool, Ordering};

use clap::error::{ContextKind, ErrorKind};
use wsroom::commands::command_line::CommandLine;
use wsroom::ending;
use wsroom::logging;
use wsroom::options::Options;
use wsroom::server::Server;
use wsroom::service;

fn main() -> ExitCode {
    let line = CommandLine::read().map_err(|error| refuse(&error));
    let outcome = line.and_then(|line| match line.command {
        None => serve(&line.options),
        Some(command) => command.run(),
    });
    logging::flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            let _ = writeln!(io::stderr(), "wsroom: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: &Options) -> Result<(), String> {
    // Before there are other threads: it changes the environment.
    let socket = service::socket()?;
    logging::start(options)?;
    ending::when_a_needed_thread_panics();
    // The handlers come before the greeting: a signal that comes early must not kill.
    let signals = Signals::listen(options)?;
    let server = Server::start_on(options, socket).map_err(|error| error.to_string())?;
    signals.has_started();
    // Warnings come before the greeting.
    logging::flush();
    greet(&server, options);
    let watchdog = service::feed_watchdog(server.pulse())?;
    service::is_ready();
    signals.wait(&server);
    log::info!("stopping");
    // The broadcaster is about to end, and then answers no more.
    drop(watchdog);
    service::is_stopping();
    server.stop();
    Ok(())
}

/// A bad value becomes one line, and the exit status is 1. For wrong usage (status 2), `--help`
/// and `--version` (status 0) clap prints and exits itself.
fn refuse(error: &clap::Error) -> String {
    if error.kind() != ErrorKind::ValueValidation {
        error.exit();
    }
    let named = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let option = named(ContextKind::InvalidArg);
    let option = option.split(' ').next().unwrap_or_default();
    let remedy = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let value = named(ContextKind::InvalidValue);
    // A token that is refused may be a good one with a slip in it.
    let shown = if option.ends_with("token") { "***" } else { &value };
    format!("{option} {shown:?}: {remedy}")
}

/// Prints the addresses of the page. The server runs even if standard output is closed.
fn greet(server: &Server, options: &Options) {
    let mut lines =
        String::from("wsroom is running. Open one of these pages, here and elsewhere:\n");
    let base = server.base();
    for page in base.pages() {
        lines += &format!("  {page}\n");
    }
    if let Some(own) = server.certificate().filter(|certificate| certificate.is_self_signed()) {
        lines += "The certificate is this program's own, so browsers warn of it. Its SHA-256 fingerprint:\n";
        lines += &format!("  {}\n", own.fingerprint());
    }
    let mut out = io::stdout();
    if out.is_terminal() && !options.no_qr {
        lines.extend(base.code().map(|code| format!("{code}\n")));
    }
    if server.has_tokens() {
        lines += "The page asks for the token. A link brings it along: /?token=TOKEN#ROOM\n";
    }
    lines += "Everyone on the page hears everyone else. Ctrl-C stops it.\n";
    let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
}

/// SIGINT and SIGTERM end the program, the second one at once; SIGHUP renews certificate and tokens, and
/// opens the log's file again.
#[cfg(unix)]
struct Signals {
    arriving: signal_hook::iterator::Signals,
    /// A SIGINT or SIGTERM ends the program at once while this is set: after the first one of them, and
    /// before the server runs, because it may wait for a Redis that is away.
    at_once: Arc<AtomicBool>,
}

#[cfg(unix)]
impl Signals {
    fn listen(options: &Options) -> Result<Self, String> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        use signal_hook::flag::register_conditional_shutdown;

        let failed = |error: io::Error| format!("signals cannot be handled: {error}");
        let at_once = Arc::new(AtomicBool::new(true));
        for signal in [SIGINT, SIGTERM] {
            register_conditional_shutdown(signal, 1, Arc::clone(&at_once)).map_err(failed)?;
        }
        // Behind the above: the handler does both in this order. Otherwise `wait` could set `at_once` in
        // between, and the first signal would end the program at once.
        let arriving = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
        // Without files to open again SIGHUP keeps its meaning: when its terminal closes, the
        // program ends, unless `nohup` started it. A service has no terminal.
        let files = [&options.tls_cert, &options.token_file, &options.log_file];
        if files.into_iter().any(Option::is_some) || service::has_manager() {
            arriving.add_signal(SIGHUP).map_err(failed)?;
        }
        Ok(Self { arriving, at_once })
    }

    /// From now on the first signal stops the server in order.
    fn has_started(&self) {
        self.at_once.store(false, Ordering::Release);
    }

    /// Waits until a signal ends the program.
    fn wait(mut self, server: &Server) {
        for signal in self.arriving.forever() {
            match signal {
                signal_hook::consts::SIGHUP => {
                    server.renew();
                    logging::reopen();
                }
                _ => break,
            }
        }
        self.at_once.store(true, Ordering::Release);
    }
}

/// On a system without Unix signals the system itself ends the program and all its connections.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen(_: &Options) -> Result<Self, String> {
        Ok(Self)
    }

    fn has_started(&self) {}

    fn wait(self, _: &Server) {
        loop {
            std::thread::park();
        }
    }
}
