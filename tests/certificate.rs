//! The certificate: every kind of file is taken, a bad one is refused in one line, and a new one
//! is shown without disturbing anyone. The files are made, and what is shown is read, by OpenSSL;
//! `tests/run` gets it, and without it these tests fail.

mod support;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use rustls::ClientConnection;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use support::{Client, Program, Stream, Way, until};
use tempfile::TempDir;
use wsroom::net::certificate::Certificate;
use wsroom::options::Options;

/// A directory with certificates and keys.
struct Safe {
    place: TempDir,
}

impl Safe {
    fn new() -> Self {
        Self { place: tempfile::tempdir().expect("a directory") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Makes `NAME.key` as the arguments of OpenSSL say, and `NAME.crt` for it.
    fn issues(&self, name: &str, key: &str) {
        self.openssl(&format!("{key} -out {name}.key"));
        self.certifies(name);
    }

    /// Makes a new `NAME.crt` for `NAME.key`.
    fn certifies(&self, name: &str) {
        self.openssl(&format!(
            "req -x509 -key {name}.key -out {name}.crt -days 9 -subj /CN={name} \
             -addext basicConstraints=CA:FALSE -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
        ));
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(self.place.path());
        let Output { status, stderr, .. } = Program::runs_to_the_end(command);
        assert!(status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&stderr));
    }

    fn fingerprint(&self, name: &str) -> String {
        fingerprint_of(&fs::read(self.path(name)).expect("a certificate"))
    }

    /// The options that name these two.
    fn options(&self, chain: &str, key: &str) -> [String; 4] {
        let path = |name: &str| self.path(name).display().to_string();
        ["--tls-cert".to_owned(), path(chain), "--tls-key".to_owned(), path(key)]
    }

    fn starts(&self, chain: &str, key: &str) -> Program {
        let options = self.options(chain, key);
        Program::start_plainly(&options.each_ref().map(String::as_str))
    }

    /// A client that trusts this certificate and no other.
    fn joins(&self, program: &Program, chain: &str) -> Client {
        let certificate = CertificateDer::from_pem_file(self.path(chain)).expect("a certificate");
        let config = Arc::new(Way::trusting_this(certificate));
        let session = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
        let socket = TcpStream::connect(program.address()).expect("the server accepts");
        Client::over(Stream::tls(socket, session), "/ws/safe")
    }

    /// Starts it with options that are refused: exit status 1, and one line.
    fn is_refused(options: &[&str]) -> String {
        let mut command = Program::command();
        command.args(["--listen", "127.0.0.1:0"]).args(options);
        let Output { status, stderr, stdout } = Program::runs_to_the_end(command);
        let line = String::from_utf8(stderr).expect("text");
        assert_eq!((status.code(), stdout.as_slice()), (Some(1), &b""[..]), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        line
    }
}

const EC: &str = "ecparam -name prime256v1 -genkey -noout";

/// SHA-256, as OpenSSL reads it from PEM.
fn fingerprint_of(pem: &[u8]) -> String {
    let mut command = Command::new("openssl");
    command.args(["x509", "-noout", "-sha256", "-fingerprint"]);
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl is there: tests/run gets it");
    std::io::Write::write_all(&mut process.stdin.take().unwrap(), pem).unwrap();
    let said = String::from_utf8(process.wait_with_output().unwrap().stdout).unwrap();
    said.trim().split_once('=').unwrap_or_else(|| panic!("no certificate: {said:?}")).1.to_owned()
}

/// What OpenSSL's client says about a server.
fn s_client(address: SocketAddr) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-showcerts", "-connect", &address.to_string()]);
    Program::runs_to_the_end(command).stdout
}

/// The fingerprint of the certificate that a server shows.
fn shown_by(address: SocketAddr) -> String {
    fingerprint_of(&s_client(address))
}

#[test]
fn every_kind_of_key_is_taken() {
    let safe = Safe::new();
    for (name, key) in [
        ("pkcs8-ec", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"),
        ("pkcs8-rsa", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
        ("pkcs8-ed25519", "genpkey -algorithm ED25519"),
        ("pkcs1", "genrsa -traditional"),
        ("sec1", EC),
        ("sec1-p384", "ecparam -name secp384r1 -genkey -noout"),
    ] {
        // The output file stands before the number of bits, which genrsa takes last.
        safe.issues(name, key);
        let (chain, key) = (format!("{name}.crt"), format!("{name}.key"));
        let program = safe.starts(&chain, &key);
        assert_eq!(shown_by(program.address()), safe.fingerprint(&chain), "{name}");
    }
}

#[test]
fn the_whole_chain_is_shown() {
    let safe = Safe::new();
    safe.issues("ada", EC);
    safe.issues("above", EC);
    let chain =
        [fs::read(safe.path("ada.crt")).unwrap(), fs::read(safe.path("above.crt")).unwrap()];
    fs::write(safe.path("chain.crt"), chain.concat()).unwrap();
    let program = safe.starts("chain.crt", "ada.key");
    let said = String::from_utf8(s_client(program.address())).unwrap();
    assert_eq!(said.matches("BEGIN CERTIFICATE").count(), 2, "{said}");
}

#[test]
fn one_without_the_other_is_refused() {
    let line = Safe::is_refused(&["--tls-cert", "ada.crt"]);
    assert!(line.contains("--tls-cert ada.crt") && line.contains("add --tls-key"), "{line}");
    let line = Safe::is_refused(&["--tls-key", "ada.key"]);
    assert!(line.contains("--tls-key ada.key") && line.contains("add --tls-cert"), "{line}");
}

#[test]
fn a_bad_file_is_refused_by_name() {
    let safe = Safe::new();
    for name in ["ada", "bob"] {
        safe.issues(name, EC);
    }
    safe.openssl("pkcs8 -topk8 -in ada.key -out locked.key -passout pass:secret");
    safe.openssl("genrsa -traditional -out weak.key 1024");
    fs::write(safe.path("empty"), "").unwrap();
    let rubbish = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(safe.path("rubbish.crt"), rubbish).unwrap();
    for (chain, key, named, remedy) in [
        ("missing.crt", "ada.key", "missing.crt", "may read"),
        ("ada.crt", "missing.key", "missing.key", "may read"),
        (".", "ada.key", "--tls-cert", "may read"),
        ("empty", "ada.key", "empty", "whole chain"),
        ("ada.key", "ada.key", "ada.key", "whole chain"),
        ("rubbish.crt", "ada.key", "rubbish.crt", "as PEM"),
        ("ada.crt", "empty", "empty", "unencrypted"),
        ("ada.crt", "ada.crt", "ada.crt", "unencrypted"),
        ("ada.crt", "locked.key", "locked.key", "unencrypted"),
        ("ada.crt", "bob.key", "bob.key", "issued together"),
        ("ada.crt", "weak.key", "weak.key", "2048"),
    ] {
        let options = safe.options(chain, key);
        let line = Safe::is_refused(&options.each_ref().map(String::as_str));
        assert!(line.contains(named) && line.contains(remedy), "{chain} and {key}: {line}");
    }
}

#[test]
fn an_expired_certificate_is_a_warning() {
    let safe = Safe::new();
    let pair = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = time::OffsetDateTime::now_utc() - time::Duration::DAY;
    fs::write(safe.path("old.crt"), params.self_signed(&pair).unwrap().pem()).unwrap();
    fs::write(safe.path("old.key"), pair.serialize_pem()).unwrap();
    let program = safe.starts("old.crt", "old.key");
    let line = program.logs("[WARN]");
    assert!(line.contains("old.crt") && line.contains("renew it"), "{line}");
    assert_eq!(shown_by(program.address()), safe.fingerprint("old.crt"));
}

#[test]
fn a_self_signed_one_is_made_for_this_host_and_its_fingerprint_printed() {
    let program = Program::start_plainly(&["--tls-self-signed"]);
    let shown = shown_by(program.address());
    assert!(program.greeting.contains(&shown), "{shown} is not in {}", program.greeting);
    assert!(program.greeting.contains("https://127.0.0.1:"), "{}", program.greeting);
    let mut command = Command::new("openssl");
    command.args(["s_client", "-verify_hostname", "localhost", "-connect"]);
    let said = Program::runs_to_the_end({
        command.arg(program.address().to_string());
        command
    });
    let said = String::from_utf8(said.stdout).unwrap();
    // Nobody vouches for it, but the name is right: that would be another error (62).
    assert!(said.contains("Verify return code: 18 (self-signed certificate)"), "{said}");
}

#[test]
fn a_self_signed_one_is_kept_beside_the_data() {
    let safe = Safe::new();
    let data = safe.path("kept").display().to_string();
    let file = safe.path("kept.pem");
    let starts = || Program::start_plainly(&["-q", "--tls-self-signed", "--data", &data]);
    let first = shown_by(starts().address());
    assert_eq!(shown_by(starts().address()), first, "after a restart it is another one");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // One that is not whole is made anew.
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 100]).unwrap();
    assert_ne!(shown_by(starts().address()), first);
}

#[test]
fn self_signed_and_files_together_are_refused() {
    let mut command = Program::command();
    command.args(["--tls-self-signed", "--tls-cert", "ada.crt"]);
    let output = Program::runs_to_the_end(command);
    assert_eq!(output.status.code(), Some(2), "wrong usage");
}

#[test]
fn sighup_shows_the_new_one_and_drops_nobody() {
    let safe = Safe::new();
    safe.issues("ada", EC);
    let program = safe.starts("ada.crt", "ada.key");
    let old = shown_by(program.address());
    let mut bob = safe.joins(&program, "ada.crt");
    bob.says("before");
    bob.hears("before");
    safe.certifies("ada");
    program.gets_signal("HUP");
    program.logs("new certificate from");
    let new = shown_by(program.address());
    assert_ne!(new, old);
    assert_eq!(new, safe.fingerprint("ada.crt"));
    bob.says("after");
    bob.hears("after");
}

#[test]
fn a_bad_new_one_changes_nothing() {
    let safe = Safe::new();
    safe.issues("ada", EC);
    let program = safe.starts("ada.crt", "ada.key");
    let old = shown_by(program.address());
    fs::write(safe.path("ada.crt"), "half a certif").unwrap();
    program.gets_signal("HUP");
    let line = program.logs("the old certificate stays");
    assert!(line.contains("[ERROR]") && line.contains("ada.crt"), "{line}");
    assert_eq!(shown_by(program.address()), old);
    // Gone altogether, as for a moment while it is replaced.
    fs::remove_file(safe.path("ada.key")).unwrap();
    program.gets_signal("HUP");
    program.logs("ada.key: No such file");
    assert_eq!(shown_by(program.address()), old);
    safe.issues("ada", EC);
    program.gets_signal("HUP");
    program.logs("new certificate from");
    assert_eq!(shown_by(program.address()), safe.fingerprint("ada.crt"));
}

/// As certbot does it: the names stay, and are links to files that change.
#[test]
fn a_swapped_link_is_noticed_without_a_signal() {
    let safe = Safe::new();
    for name in ["first", "second"] {
        safe.issues(name, EC);
    }
    let link = |name: &str| {
        for kind in ["crt", "key"] {
            let new = safe.path(&format!("new.{kind}"));
            symlink(format!("{name}.{kind}"), &new).unwrap();
            fs::rename(new, safe.path(&format!("live.{kind}"))).unwrap();
        }
    };
    link("first");
    let options = safe.options("live.crt", "live.key");
    let options = Options::parse_from(["wsroom".to_owned()].iter().chain(&options));
    let look = Duration::from_millis(10);
    let certificate = Certificate::open(&options, look).expect("good files").expect("files");
    assert_eq!(certificate.fingerprint(), safe.fingerprint("first.crt"));
    link("second");
    until("the second certificate", || certificate.fingerprint() == safe.fingerprint("second.crt"));
}
