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

use super::{Papers, Program, Visitor, Way, until};

/// From this address nginx connects to the server behind it. Clients have others, so a server can
/// trust the one and not the others.
pub const PROXY: &str = "127.0.0.2";

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
    way: Way,
    _papers: Papers,
}

impl Nginx {
    /// Shares clients out among these servers, as in *Several machines*.
    pub fn shares_out(servers: &[SocketAddr]) -> Self {
        let servers: String = servers.iter().map(|it| format!("    server {it};\n")).collect();
        let upstream = from_readme("upstream wsroom {");
        let is_own = |line: &&str| !line.trim_start().starts_with("server ");
        let upstream: String = upstream.lines().filter(is_own).collect();
        let upstream = upstream.replace('}', &format!("{servers}}}"));
        let location =
            with(&from_readme("location / {"), "http://127.0.0.1:8080;", "http://wsroom;");
        Self::start(Way::Plain, &upstream, &location)
    }

    /// Stands in front of a server that trusts [`PROXY`], with a `location` of *Behind a proxy*.
    pub fn stands_before(server: SocketAddr, location: &str, way: Way) -> Self {
        let location = with(&from_readme(location), "127.0.0.1:8080", &server.to_string());
        Self::start(way, "", &format!("proxy_bind {PROXY};\n{location}"))
    }

    /// Starts it with what stands inside of `http { }`, and inside of a `server { }` there.
    fn start(way: Way, http: &str, server: &str) -> Self {
        let papers = way.papers();
        // Another program may take the port before nginx does.
        for _ in 0..3 {
            let (place, address) = (tempfile::tempdir().unwrap(), Program::free_address());
            let listen = listen(way, address, &papers);
            let server = server.replace("/etc/nginx/wsroom.conf", "wsroom.conf");
            let config = format!(
                "{FOR_A_CHILD}http {{\n{FILES_OF_A_CHILD}{http}\nserver {{\n{listen}{server}}}\n}}\n"
            );
            fs::write(place.path().join("nginx.conf"), config).unwrap();
            fs::write(place.path().join("wsroom.conf"), from_readme("proxy_http_version 1.1;"))
                .unwrap();
            let mut process = spawn(place.path());
            let pid = place.path().join("nginx.pid");
            // It writes this file when it listens.
            until("nginx to start", || pid.exists() || process.try_wait().unwrap().is_some());
            if pid.exists() {
                return Self { _place: place, process, address, way, _papers: papers };
            }
            eprintln!("{}", fs::read_to_string(place.path().join("error.log")).unwrap_or_default());
        }
        panic!("nginx does not start");
    }

    /// Where clients find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What clients call it: `http://127.0.0.1:4711`, or with `https`.
    pub fn url(&self) -> String {
        let scheme = if self.way == Way::Tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// A new connection of a client that has this address.
    pub fn is_visited_from(&self, client: &str) -> Visitor {
        Visitor::over(self.way.connects_from(client, self.address))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn listen(way: Way, address: SocketAddr, papers: &Papers) -> String {
    match way {
        Way::Plain => format!("listen {address};\n"),
        Way::Tls => {
            let (chain, key) = papers.files().expect("papers for TLS");
            let (chain, key) = (chain.display(), key.display());
            format!("listen {address} ssl;\nssl_certificate {chain};\nssl_certificate_key {key};\n")
        }
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
