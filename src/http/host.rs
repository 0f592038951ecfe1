//! The names of this server: a request for another name is not answered.
//!
//! A page can make its own name lead to any address, after it was loaded (DNS rebinding). To the
//! browser this server is then a part of that page's site, and only the Host field tells. It always
//! has the page's name, so addresses and `localhost` in it are no danger.
//!
//! Not here: whether a page of another origin may do something (`handshake`). Pure functions, on the
//! connection's thread.

use std::net::IpAddr;
use std::sync::Arc;

use http::uri::Authority;

use super::response::Response;
use crate::net::certificate::Certificate;

/// The names that are accepted.
pub struct Hosts {
    /// `--host`, in lower case; `*` is any name.
    named: Vec<String>,
    /// Without `--host`: the certificate in use, whose names are meant.
    certificate: Option<Arc<Certificate>>,
}

impl Hosts {
    /// The names in `named`, or else those in the certificate; without either, any name.
    pub fn new(named: &[String], certificate: Option<&Arc<Certificate>>) -> Self {
        // In class a host has more names than its self-signed certificate knows.
        let issued = certificate.filter(|certificate| !certificate.is_self_signed());
        Self { named: named.to_vec(), certificate: issued.map(Arc::clone) }
    }

    /// Checks the Host field, or the authority that replaces it.
    ///
    /// # Errors
    /// The response to a request for another name: a 421, "the server is unable or unwilling to
    /// produce an authoritative response for the target URI" (RFC 9110 §15.5.20).
    pub fn check(&self, host: &str) -> Result<(), Response> {
        // Nothing is named by programs that speak HTTP/1.0. Browsers always name something.
        if host.is_empty() || self.accept_any() {
            return Ok(());
        }
        match name(host) {
            None => Err(Response::refusal(400, "The Host field is not a host and a port.")),
            Some(name) if self.accept(&name) => Ok(()),
            Some(_) => Err(Response::refusal(
                421,
                "This server has another name: use it in the address, or start the server with \
                 --host and this one.",
            )),
        }
    }

    fn accept_any(&self) -> bool {
        let knows_none = self.named.is_empty() && self.certificate.is_none();
        knows_none || self.named.iter().any(|named| named == "*")
    }

    fn accept(&self, name: &str) -> bool {
        let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        is_address || name == "localhost" || self.is_own(name)
    }

    fn is_own(&self, name: &str) -> bool {
        match &self.certificate {
            Some(certificate) if self.named.is_empty() => certificate.is_for(name),
            _ => self.named.iter().any(|named| named == name),
        }
    }
}

/// The name in a host and port, in lower case and without the dot at its end.
fn name(host: &str) -> Option<String> {
    let authority = host.parse::<Authority>().ok().filter(|it| !it.as_str().contains('@'))?;
    let name = authority.host().to_ascii_lowercase();
    Some(name.strip_suffix('.').map(str::to_owned).unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_and_localhost_are_accepted() {
        let hosts = Hosts::new(&["talk.example".to_owned()], None);
        for host in [
            "talk.example",
            "Talk.Example:8080",
            "talk.example.",
            "talk.example.:80",
            "localhost",
            "LocalHost:8080",
            "127.0.0.1:8080",
            "192.0.2.1",
            "[::1]:8080",
            "[2001:db8::1]",
            "",
        ] {
            assert!(hosts.check(host).is_ok(), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "talk.example.evil.example",
            "eviltalk.example",
            "a.talk.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "talk.example..",
            "127.1",
            "0x7f.1",
            ".",
            ":8080",
        ] {
            assert_eq!(hosts.check(host).expect_err(host).status, 421, "{host}");
        }
        for host in ["[::1", "a:b:c", "talk.example@evil.example"] {
            assert_eq!(hosts.check(host).expect_err(host).status, 400, "{host}");
        }
    }

    #[test]
    fn any_name_is_accepted_without_names_or_with_a_star() {
        for named in [vec![], vec!["talk.example".to_owned(), "*".to_owned()]] {
            assert!(Hosts::new(&named, None).check("evil.example").is_ok());
        }
    }
}
