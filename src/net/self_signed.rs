//! A certificate that the program makes itself, for this host's names and addresses.
//!
//! With `--data FILE` it is kept in `FILE.pem`, so that a browser which trusts it still does so
//! after a restart. A new one is made when the old one expires soon, or when it lacks a name or an
//! IPv4 address of the host. Not here: how it is shown (`certificate`). Called once, at the start,
//! on the main thread.

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use crate::net::private_file;

/// How long a new certificate is valid. Browsers refuse certificates that are valid for longer.
const VALIDITY: time::Duration = time::Duration::days(397);

/// A kept certificate that expires within this time is replaced, because the program may run for
/// long.
const MIN_REMAINING: time::Duration = time::Duration::days(30);

/// A certificate and its key, in PEM: the one that is kept beside `data` if it is still good, else
/// a new one.
///
/// # Errors
/// A sentence: no certificate can be made. If it cannot be kept, that is only logged, because it
/// works until the next start.
pub fn pem(data: Option<&Path>) -> Result<Vec<u8>, String> {
    let names = names();
    let file = data.map(|data| PathBuf::from(format!("{}.pem", data.display())));
    let kept = file.as_deref().and_then(|file| fs::read(file).ok());
    if let Some(kept) = kept.filter(|kept| is_good(kept, &names)) {
        return Ok(kept);
    }
    let new = make(names, VALIDITY).map_err(|error| format!("--tls-self-signed: {error}"))?;
    if let Some(file) = file
        && let Err(error) = write(&file, new.as_bytes())
    {
        log::warn!("the certificate cannot be kept in {}: {error}", file.display());
    }
    Ok(new.into_bytes())
}

fn make(names: Vec<String>, validity: time::Duration) -> Result<String, rcgen::Error> {
    let mut params = rcgen::CertificateParams::new(names)?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "wsroom");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    // Valid since yesterday, because the clocks in a classroom differ.
    params.not_before = OffsetDateTime::now_utc() - time::Duration::DAY;
    params.not_after = params.not_before + validity;
    let pair = rcgen::KeyPair::generate()?;
    Ok(params.self_signed(&pair)?.pem() + &pair.serialize_pem())
}

/// Whether the PEM has a certificate and a key, does not expire soon, and has all these names.
fn is_good(pem: &[u8], names: &[String]) -> bool {
    let Some(Ok(first)) = Pem::iter_from_buffer(pem).next() else { return false };
    let Ok(certificate) = first.parse_x509() else { return false };
    let end = certificate.validity().not_after.timestamp();
    let known = names_in(&certificate);
    // IPv6 addresses do not count: many hosts use a new one every day (RFC 8981).
    let lasting = |name: &&String| name.parse::<Ipv6Addr>().is_err();
    PrivateKeyDer::from_pem_slice(pem).is_ok()
        && end > (OffsetDateTime::now_utc() + MIN_REMAINING).unix_timestamp()
        && names.iter().filter(lasting).all(|name| known.contains(name))
}

fn names_in(certificate: &X509Certificate) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let text = |name: &GeneralName| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => Some(IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?).to_string()),
            _ => Some(IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()),
        },
        _ => None,
    };
    names.value.general_names.iter().filter_map(text).collect()
}

fn write(file: &Path, pem: &[u8]) -> io::Result<()> {
    let mut file = private_file::open(file)?;
    file.set_len(0)?;
    file.write_all(pem)
}

/// The names that people may type: `localhost`, this host's name, its mDNS name, its addresses.
fn names() -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    let host = gethostname::gethostname().to_string_lossy().to_ascii_lowercase();
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if !host.is_empty() && host.chars().all(sound) {
        names.push(format!("{}.local", host.trim_end_matches(".local")));
        names.push(host);
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    names.extend(interfaces.iter().map(|interface| interface.ip().to_string()));
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_anew_when_it_has_to_be() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let here = names(&["localhost", "127.0.0.1", "::1"]);
        let pem = make(here.clone(), VALIDITY).unwrap();
        assert!(is_good(pem.as_bytes(), &here));
        assert!(is_good(pem.as_bytes(), &names(&["localhost", "fe80::7"])), "IPv6 may change");
        for elsewhere in ["10.0.0.1", "school"] {
            assert!(!is_good(pem.as_bytes(), &names(&["localhost", elsewhere])), "{elsewhere}");
        }
        let ends = make(here.clone(), time::Duration::days(30)).unwrap();
        assert!(!is_good(ends.as_bytes(), &here), "it ends soon");
        let (certificate, _) = pem.split_once("-----BEGIN PRIVATE").unwrap();
        assert!(!is_good(certificate.as_bytes(), &here), "it has no key");
        assert!(!is_good(b"", &here));
    }
}
