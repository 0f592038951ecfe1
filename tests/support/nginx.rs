//! A real nginx of the test's own, in front of real servers, as the README says that it is set up:
//! the blocks of its configuration are read from there. `tests/run` gets nginx.
//!
//! It is one process, a child of the test, with all its files in a directory of its own. Not here:
//! the service that Debian's package may have started; no test needs it, and port 80 is not used.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{Program, until};

/// Debian keeps it where only root looks for programs.
const PROGRAM: &str = "/usr/sbin/nginx";

/// What the README does not say because it is right for a service, but not for a child: one process
/// in the foreground, and no file outside of its own directory.
const FOR_A_CHILD: &str = "\
    daemon off;\n\
    master_process off;\n\
    pid nginx.pid;\n\
    error_log error.log;\n\
    events {}\n";
const FILES_OF_A_CHILD: &str = "\
    access_log off;\n\
    client_body_temp_path body;\n\
    proxy_temp_path proxy;\n\
    fastcgi_temp_path fastcgi;\n\
    uwsgi_temp_path uwsgi;\n\
    scgi_temp_path scgi;\n";

/// A running nginx on a port of 127.0.0.1; killed when dropped.
pub struct Nginx {
    _place: TempDir,
    process: Child,
    address: SocketAddr,
}

impl Nginx {
    /// Shares clients out among these servers, as in *Several machines*.
    pub fn shares_out(servers: &[SocketAddr]) -> Self {
        let servers: String = servers.iter().map(|it| format!("    server {it};\n")).collect();
        let mut upstream = from_readme("upstream wsroom {");
        let own = upstream.lines().filter(|line| line.trim_start().starts_with("server "));
        for line in own.map(str::to_owned).collect::<Vec<_>>() {
            upstream = upstream.replace(&format!("{line}\n"), "");
        }
        let upstream = upstream.replace("}", &format!("{servers}}}"));
        let location = from_readme("location / {");
        let location = with(&location, "http://127.0.0.1:8080;", "http://wsroom;");
        Self::start(|own| format!("{upstream}server {{\nlisten {own};\n{location}}}\n"))
    }

    /// Starts it with what stands inside of `http { }`, for the address at which it will be.
    fn start(http: impl Fn(SocketAddr) -> String) -> Self {
        // Another program may take the port before nginx does.
        let mut tries = 0;
        loop {
            let (place, address) = (tempfile::tempdir().unwrap(), Program::free_address());
            let config = format!("{FOR_A_CHILD}http {{\n{FILES_OF_A_CHILD}{}}}\n", http(address));
            fs::write(place.path().join("nginx.conf"), &config).unwrap();
            let mut process = spawn(place.path());
            let pid = place.path().join("nginx.pid");
            // It writes this file when it listens.
            until("nginx to start", || pid.exists() || process.try_wait().unwrap().is_some());
            if pid.exists() {
                return Self { _place: place, process, address };
            }
            tries += 1;
            let log = fs::read_to_string(place.path().join("error.log")).unwrap_or_default();
            assert!(tries < 3, "nginx does not start: {log}\nwith {config}");
        }
    }

    /// Where clients find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(place: &Path) -> Child {
    let mut command = Command::new(PROGRAM);
    command.arg("-p").arg(place).args(["-c", "nginx.conf", "-e", "error.log"]);
    command.stdin(Stdio::null()).spawn().expect("nginx is installed")
}

/// The block of the README that begins with this line, as it stands there, without its indentation.
fn from_readme(first: &str) -> String {
    let readme = include_str!("../../README.md");
    let lines = readme.lines().skip_while(|line| line.strip_prefix("    ") != Some(first));
    let block = lines.map_while(|line| line.strip_prefix("    "));
    let block: String = block.flat_map(|line| [line, "\n"]).collect();
    assert!(!block.is_empty(), "the README has no block that begins with {first:?}");
    block
}

/// A text in which one thing stands in the place of another.
fn with(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "there is no {old:?} in {text}");
    text.replace(old, new)
}
