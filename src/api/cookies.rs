//! Which requests carry this server's cookies: their names, and the attributes that say so.
//!
//! Both follow from how the browser sees this server, perhaps through a proxy. Not here: what the
//! cookies carry (`credentials`). Made by the door for each request; the proxy hands it to the page's
//! threads in the field [`COOKIES`].

use std::fmt;

/// The header field in which the proxy writes the scope. A client's own field of that name does not
/// reach tiny_http.
pub const COOKIES: &str = "Cookies";

/// The cookies of this server, for one way in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cookies {
    /// The end of all names.
    place: String,
    /// `Path`, and under TLS `Secure`.
    scope: String,
}

impl Cookies {
    /// Those of a server that browsers see at `scheme://HOST:port` and `prefix`, which is empty or has
    /// no slash at its end.
    ///
    /// A name contains the port, because a browser sends the cookies of a host to all its ports
    /// (RFC 6265 §8.5), and a host may have two servers. It contains the prefix, because a cookie of
    /// `/` is sent to `/chat/` too.
    pub fn new(scheme: &str, port: u16, prefix: &str) -> Self {
        // A name is a token (RFC 6265 §4.1.1), and a slash is no part of one.
        let place = format!("{port}{}", prefix.replace('/', "_"));
        // `Secure` keeps a cookie away from plain requests.
        let secure = if scheme == "https" { "; Secure" } else { "" };
        Self { place, scope: format!("Path={prefix}/{secure}") }
    }

    /// What the proxy has written.
    pub fn read(field: &str) -> Option<Self> {
        let (place, scope) = field.split_once("; ")?;
        Some(Self { place: place.to_owned(), scope: scope.to_owned() })
    }

    fn name(&self, kind: &str) -> String {
        format!("wsroom_{kind}_{}", self.place)
    }

    /// The value of the cookie of this kind, such as `key`, among all that a request carries, each
    /// `name=value`.
    pub fn find<'a>(&self, kind: &str, mut all: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let own = self.name(kind);
        let value = |(name, value)| (name == own).then_some(value);
        all.find_map(|cookie| cookie.split_once('=').and_then(value))
    }

    /// The value of a Set-Cookie field, for a cookie that scripts cannot read, and that requests from
    /// other sites do not carry (RFC 6265, and its draft successor for `SameSite`). `age` is in
    /// seconds; 0 removes the cookie, and without one it ends with the browser.
    pub fn set(&self, kind: &str, value: &str, age: Option<u32>) -> String {
        let (name, scope) = (self.name(kind), &self.scope);
        let age = age.map(|age| format!("Max-Age={age}; ")).unwrap_or_default();
        format!("{name}={value}; HttpOnly; SameSite=Strict; {age}{scope}")
    }
}

impl fmt::Display for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.place, self.scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_kind_port_and_prefix() {
        for (prefix, cookies, key) in [
            ("", vec![], None),
            ("", vec!["wsroom_key_8080=abc"], Some("abc")),
            ("", vec!["theme=dark", "wsroom_key_8080=abc", "x"], Some("abc")),
            ("", vec!["wsroom_key_8081=other", "wsroom_key_8080=abc"], Some("abc")),
            ("", vec!["wsroom_key_8080=a=b"], Some("a=b")),
            ("", vec!["wsroom_key_8081=abc"], None),
            ("", vec!["wsroom_key_80800=abc"], None),
            ("", vec!["wsroom_key_808=abc"], None),
            ("", vec!["wsroom_key=abc"], None),
            ("", vec!["wsroom_other_8080=abc"], None),
            ("", vec!["WSROOM_KEY_8080=abc"], None),
            ("", vec!["wsroom_key_8080"], None),
            ("", vec!["wsroom_key_8080_chat=abc"], None),
            ("/chat", vec!["wsroom_key_8080=other", "wsroom_key_8080_chat=abc"], Some("abc")),
            ("/a/b", vec!["wsroom_key_8080_a_b=abc"], Some("abc")),
        ] {
            let all = cookies.iter().copied();
            assert_eq!(Cookies::new("http", 8080, prefix).find("key", all), key, "{cookies:?}");
        }
    }

    #[test]
    fn a_cookie_belongs_to_its_prefix_and_under_tls_it_is_secure() {
        for (scheme, prefix, path, secure) in [
            ("http", "", "Path=/", false),
            ("https", "", "Path=/", true),
            ("http", "/chat", "Path=/chat/", false),
            ("https", "/a/b", "Path=/a/b/", true),
        ] {
            let cookies = Cookies::new(scheme, 443, prefix);
            assert_eq!(Cookies::read(&cookies.to_string()), Some(cookies.clone()));
            let set = cookies.set("key", "abc", Some(7));
            assert_eq!(cookies.find("key", set.split("; ").take(1)), Some("abc"));
            let attributes: Vec<_> = set.split("; ").skip(1).collect();
            assert!(attributes.contains(&path) && attributes.contains(&"Max-Age=7"), "{set}");
            assert_eq!(attributes.contains(&"Secure"), secure, "{set}");
        }
    }
}
