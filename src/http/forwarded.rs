//! The words in which proxies tell of a request that they pass on: `Forwarded` (RFC 7239), and the
//! values of the older `X-Forwarded-*` fields.
//!
//! Strict, because a proxy appends its words to those of its client: a client that leaves a quote
//! open may not swallow them. Not here: whose words are believed (`outside`). Pure functions, on
//! the connection's thread.

use std::net::{IpAddr, SocketAddr};

use super::request::is_host;

/// The longest prefix of paths, in bytes. It goes into each cookie.
const MAX_PREFIX_BYTES: usize = 256;

/// What one proxy tells of the request that it received: an element of `Forwarded`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Hop {
    /// Whom it came from, as written.
    pub from: Option<String>,
    /// `http` or `https`.
    pub scheme: Option<&'static str>,
    /// The Host field: host and port.
    pub host: Option<String>,
}

/// Whom a request came from (RFC 7239 §6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Node {
    /// This address.
    Address(IpAddr),
    /// The proxy does not know, or does not tell.
    Hidden,
}

/// The elements of `Forwarded`, in order: `for=192.0.2.43;proto=https, for="[2001:db8::1]:47011"`.
/// `None` if any of them is malformed.
pub fn hops(text: &str) -> Option<Vec<Hop>> {
    let elements = split(text, b',')?;
    elements.into_iter().filter(|element| !element.is_empty()).map(hop).collect()
}

fn hop(element: &str) -> Option<Hop> {
    let mut hop = Hop::default();
    for pair in split(element, b';')?.into_iter().filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (name.to_ascii_lowercase(), unquoted(value)?);
        match name.as_str() {
            "for" => put(&mut hop.from, value)?,
            "proto" => put(&mut hop.scheme, scheme(&value)?)?,
            "host" => put(&mut hop.host, host(&value)?)?,
            // `by`, and what may be added one day (RFC 7239 §5.5).
            _ if is_token(&name) => {}
            _ => return None,
        }
    }
    Some(hop)
}

/// "Each parameter MUST NOT occur more than once per field-value" (RFC 7239 §4).
fn put<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// The parts between separators that are outside of quotes; `None` if a quote stays open.
fn split(text: &str, separator: u8) -> Option<Vec<&str>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if byte == separator && !quoted => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    (!quoted).then_some(parts)
}

/// A token, or what is in a quoted string (RFC 9110 §5.6.4). Addresses and ports are taken without
/// quotes too: many proxies forget them.
fn unquoted(value: &str) -> Option<String> {
    let Some(rest) = value.strip_prefix('"') else {
        let is_bare = |c: u8| c.is_ascii_graphic() && !b"\"\\(),;<>=?@{}".contains(&c);
        return (!value.is_empty() && value.bytes().all(is_bare)).then(|| value.to_owned());
    };
    let (mut text, mut inside) = (String::new(), rest.strip_suffix('"')?.chars());
    while let Some(next) = inside.next() {
        match next {
            '\\' => text.push(inside.next()?),
            '"' => return None,
            plain => text.push(plain),
        }
    }
    Some(text)
}

fn is_token(text: &str) -> bool {
    let is_allowed = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    !text.is_empty() && text.bytes().all(is_allowed)
}

/// An address with or without a port, `unknown`, or a name that a proxy has made up: `_hidden`.
pub fn node(text: &str) -> Option<Node> {
    if text.eq_ignore_ascii_case("unknown") || text.strip_prefix('_').is_some_and(is_token) {
        return Some(Node::Hidden);
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse().ok().map(|it: SocketAddr| it.ip()));
    address.map(|address: IpAddr| Node::Address(address.to_canonical()))
}

/// The scheme; some proxies write `wss` for a WebSocket.
pub fn scheme(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "http" | "ws" => Some("http"),
        "https" | "wss" => Some("https"),
        _ => None,
    }
}

/// A host, perhaps with a port.
pub fn host(text: &str) -> Option<String> {
    (!text.is_empty() && is_host(text)).then(|| text.to_owned())
}

/// The beginning of paths, without the slash at its end: `/chat` for `/chat/`, nothing for `/`. It goes
/// into cookies, so it has no character that means something there.
pub fn prefix(text: &str) -> Option<String> {
    let bare = text.strip_suffix('/').unwrap_or(text);
    let is_allowed = |c: u8| c.is_ascii_alphanumeric() || b"-._~%".contains(&c);
    let is_step = |step: &str| !matches!(step, "" | "." | "..") && step.bytes().all(is_allowed);
    let steps = bare.strip_prefix('/').map(|rest| rest.split('/').all(is_step));
    let sound = steps.unwrap_or(bare.is_empty()) && bare.len() <= MAX_PREFIX_BYTES;
    sound.then(|| bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Option<Vec<Option<String>>> {
        hops(text).map(|hops| hops.into_iter().map(|hop| hop.from).collect())
    }

    #[test]
    fn a_hop_says_whom_it_came_from_and_how() {
        let text =
            "For=\"[2001:db8::1]:47011\"; Proto=HTTPS;by=203.0.113.43 ;host=\"talk.example:8443\"";
        let hop = Hop {
            from: Some("[2001:db8::1]:47011".to_owned()),
            scheme: Some("https"),
            host: Some("talk.example:8443".to_owned()),
        };
        assert_eq!(hops(text), Some(vec![hop]));
        let (one, other) = (Some("192.0.2.1".to_owned()), Some("_a".to_owned()));
        assert_eq!(from("for=192.0.2.1, ,for=\"\\_a\""), Some(vec![one.clone(), other]));
        assert_eq!(from("proto=http,for=192.0.2.1"), Some(vec![None, one]));
        assert_eq!(from(""), Some(vec![]));
    }

    #[test]
    fn a_malformed_hop_is_not_guessed_at() {
        for text in [
            "for",
            "for=",
            "=a",
            "for=a b",
            "for=a;for=b",
            "for=\"a",
            "for=\"a\"b",
            "for=\"a\\\"",
            "proto=ftp",
            "host=",
            "host=a/b",
            "a b=c",
            "for=a=b",
        ] {
            assert_eq!(hops(text), None, "{text:?}");
        }
    }

    /// The proxy's part is behind the last comma of each.
    #[test]
    fn a_client_cannot_swallow_what_its_proxy_appends() {
        for begun in ["for=\"", "for=a;x=\"", "x=\"\\", "for=\"a\\\"", "x=\"a\"b\"", "\"", "\\\""] {
            for appended in ["for=203.0.113.7", "for=\"[2001:db8::1]:4711\";proto=https"] {
                assert_eq!(hops(&format!("{begun}, {appended}")), None, "{begun} {appended}");
            }
        }
    }

    #[test]
    fn a_node_is_an_address_of_any_form() {
        for (text, address) in [
            ("192.0.2.43", "192.0.2.43"),
            ("192.0.2.43:47011", "192.0.2.43"),
            ("::ffff:192.0.2.43", "192.0.2.43"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:47011", "2001:db8::1"),
        ] {
            assert_eq!(node(text), Some(Node::Address(address.parse().unwrap())), "{text}");
        }
        for text in ["unknown", "Unknown", "_hidden", "_SEVKISEK"] {
            assert_eq!(node(text), Some(Node::Hidden), "{text}");
        }
        for text in ["", "_", "talk.example", "192.0.2", "[192.0.2.1", "fe80::1%eth0", "_a b"] {
            assert_eq!(node(text), None, "{text}");
        }
    }

    #[test]
    fn a_prefix_has_no_slash_at_its_end() {
        for (text, bare) in
            [("/chat", "/chat"), ("/chat/", "/chat"), ("/a/b", "/a/b"), ("/", ""), ("", "")]
        {
            assert_eq!(prefix(text).as_deref(), Some(bare), "{text:?}");
        }
        let long = format!("/{}", "a".repeat(MAX_PREFIX_BYTES));
        for text in ["chat", "//chat", "/chat//", "/a/../b", "/a;b", "/a b", "/a,/b", "/ü", &long]
        {
            assert_eq!(prefix(text), None, "{text:?}");
        }
    }
}
