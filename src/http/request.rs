//! One HTTP/1.x request head: its grammar, and every reason to refuse it.
//!
//! Stricter than the RFC asks, because tiny_http parses the request again, as the proxy writes it.
//! Two parsers that disagree about the end of a request make request smuggling possible (RFC 9112
//! §11.2). Not here: reading from the socket (`door`), and the meaning of a path. Pure functions,
//! on any thread.

use httparse::{EMPTY_HEADER, Error, Status};

use super::outside::Outside;
use super::response::Response;

/// The longest request head, in bytes.
pub const MAX_HEAD: usize = 16 << 10;

/// The most header fields.
const MAX_FIELDS: usize = 100;

/// A request head that follows all the rules.
#[derive(Debug)]
pub struct Request {
    /// The method, as sent.
    pub method: String,
    /// The path: begins with `/`, visible ASCII.
    pub path: String,
    /// The part behind the `?`, if there is one.
    pub query: Option<String>,
    /// HTTP/1.1, not 1.0.
    pub is_http11: bool,
    /// Host and port as the client wrote them, perhaps to a trusted proxy; empty only in HTTP/1.0.
    pub host: String,
    /// The length of the body in bytes, as the head declares it. The door decides how much it
    /// takes.
    pub body_length: usize,
    /// How the client sees this server, if a trusted proxy passes its request on. Nothing in the
    /// head alone says that: the door adds it.
    pub outside: Option<Outside>,
    /// Its bytes as they arrived; the door adds them.
    pub head: Vec<u8>,
    fields: Vec<(String, Vec<u8>)>,
}

impl Request {
    /// Parses the head at the beginning of `bytes`: the request, and the length of its head in
    /// bytes. `None` if the head is not complete yet.
    ///
    /// ```
    /// use wsroom::http::request::Request;
    ///
    /// let bytes = b"POST /rooms/lab?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    /// let Ok(Some((request, length))) = Request::parse(bytes) else { panic!("a good head") };
    /// assert_eq!(request.method, "POST");
    /// assert_eq!(request.path, "/rooms/lab");
    /// assert_eq!(request.query.as_deref(), Some("x=1"));
    /// assert_eq!(&bytes[length..], b"hello");
    ///
    /// // A half head is no error: the rest may follow.
    /// assert!(matches!(Request::parse(&bytes[..20]), Ok(None)));
    ///
    /// // A bad head is refused with the response that its client gets.
    /// let refusal = Request::parse(b"GET / HTTP/1.1\r\n\r\n").unwrap_err();
    /// assert_eq!(refusal.status, 400);
    /// ```
    ///
    /// # Errors
    /// The response to a head that is refused.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Response> {
        let mut fields = [EMPTY_HEADER; MAX_FIELDS];
        let mut head = httparse::Request::new(&mut fields);
        let length = match head.parse(bytes) {
            Ok(Status::Complete(length)) if length <= MAX_HEAD => length,
            Ok(Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
            Ok(_) => return Err(Response::refusal(431, "The request head is over 16 KiB.")),
            Err(error) => return Err(malformed(error, bytes)),
        };
        let complete = "a complete head has all three parts";
        let fields = head.headers.iter();
        let mut request = Self {
            method: head.method.expect(complete).to_owned(),
            path: head.path.expect(complete).to_owned(),
            query: None,
            is_http11: head.version.expect(complete) == 1,
            host: String::new(),
            body_length: 0,
            outside: None,
            head: Vec::new(),
            fields: fields.map(|f| (f.name.to_owned(), f.value.to_vec())).collect(),
        };
        let authority = request.split_target()?;
        let refused = |refusal: Response| refusal.for_path(&request.path);
        let host = request.find_host(authority).map_err(refused)?;
        let body_length = request.find_body_length().map_err(refused)?;
        (request.host, request.body_length) = (host, body_length);
        Ok(Some((request, length)))
    }

    /// Takes over how the client sees this server, through trusted proxies.
    pub fn is_seen_from(&mut self, outside: Outside) {
        if let Some(host) = &outside.host {
            self.host.clone_from(host);
        }
        self.outside = Some(outside);
    }

    /// All values of a field, in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_slice())
    }

    /// The value of a field that occurs exactly once and is printable ASCII.
    pub fn value<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let mut values = self.values(name);
        let (first, second) = (values.next()?, values.next());
        let sound = second.is_none() && first.iter().all(|c| (b' '..=b'~').contains(c));
        let text = sound.then(|| std::str::from_utf8(first).expect("ASCII is UTF-8"));
        text.map(str::trim)
    }

    /// All cookies, `name=value` each, of all Cookie fields. Cookies that are not printable ASCII
    /// are left out: another program has set them, against RFC 6265 §4.1.1.
    pub fn cookies(&self) -> impl Iterator<Item = &str> {
        let pairs = self.values("Cookie").flat_map(|value| value.split(|&c| c == b';'));
        let pairs = pairs.map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty());
        pairs.filter_map(|pair| {
            let sound = pair.iter().all(|c| (b' '..=b'~').contains(c));
            sound.then(|| std::str::from_utf8(pair).expect("ASCII is UTF-8"))
        })
    }

    /// Whether a field's comma-separated list contains `token`, in any case (RFC 9110 §5.6.1,
    /// §7.6.1).
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(|&c| c == b','))
            .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Splits the target into path and query. Returns the authority of a target in absolute form,
    /// which a server must accept (RFC 9112 §3.2.2).
    fn split_target(&mut self) -> Result<Option<String>, Response> {
        let target = std::mem::take(&mut self.path);
        if !target.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(Response::refusal(400, "The request target is not visible ASCII."));
        }
        let absolute = target.split_once("://").filter(|(scheme, _)| {
            scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
        });
        let (authority, origin_form) = match absolute {
            None => (None, target.clone()),
            Some((_, rest)) => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let slash = if rest[end..].starts_with('/') { "" } else { "/" };
                (Some(rest[..end].to_owned()), format!("{slash}{}", &rest[end..]))
            }
        };
        if !origin_form.starts_with('/') {
            return Err(Response::refusal(400, "The request target is not a path."));
        }
        let (path, query) = match origin_form.split_once('?') {
            None => (origin_form.as_str(), None),
            Some((path, query)) => (path, Some(query.to_owned())),
        };
        self.path = path.to_owned();
        self.query = query;
        Ok(authority)
    }

    /// "A server MUST respond with a 400 to any HTTP/1.1 request message that lacks a Host header
    /// field and to any that contains more than one or an invalid value" (RFC 9112 §3.2).
    fn find_host(&self, authority: Option<String>) -> Result<String, Response> {
        let given = self.values("Host").count();
        if given > 1 || (given == 0 && self.is_http11) {
            return Err(Response::refusal(400, "There must be exactly one Host field."));
        }
        let host = if given == 0 { Some("") } else { self.value("Host") };
        match host.filter(|host| is_host(host)) {
            None => Err(Response::refusal(400, "The Host field is not a host and a port.")),
            // The authority of an absolute form replaces the Host field (RFC 9112 §3.2.2).
            Some(host) => Ok(authority.unwrap_or_else(|| host.to_owned())),
        }
    }

    /// The length of the body in bytes, from exactly one Content-Length (RFC 9112 §6.3).
    fn find_body_length(&self) -> Result<usize, Response> {
        let lengths: Vec<&[u8]> = self.values("Content-Length").collect();
        let mut codings = self.values("Transfer-Encoding");
        if let Some(coding) = codings.next() {
            let chunked = coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
            return Err(
                if chunked && codings.next().is_none() && lengths.is_empty() && self.is_http11 {
                    Response::refusal(
                        411,
                        "A chunked body is not taken here: send a Content-Length.",
                    )
                } else {
                    Response::refusal(
                        400,
                        "This Transfer-Encoding leaves open where the body ends.",
                    )
                },
            );
        }
        match lengths.as_slice() {
            [] => Ok(0),
            [digits] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
                let length = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
                length.ok_or_else(|| Response::refusal(413, "The body is larger than anything."))
            }
            _ => Err(Response::refusal(400, "There must be one Content-Length of digits only.")),
        }
    }
}

/// Whether a text has no character that a host and a port cannot have (RFC 3986 §3.2.2).
pub fn is_host(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(&c))
}

fn malformed(error: Error, bytes: &[u8]) -> Response {
    match error {
        Error::TooManyHeaders => Response::refusal(431, "There are over 100 header fields."),
        Error::Version if names_other_version(bytes) => {
            Response::refusal(505, "This server speaks HTTP/1.1 (and 1.0).")
        }
        Error::Version | Error::Token | Error::NewLine | Error::Status => {
            Response::refusal(400, "This is not an HTTP request line.")
        }
        Error::HeaderName | Error::HeaderValue => {
            Response::refusal(400, "A header field is malformed (folded lines are not taken).")
        }
    }
}

/// Whether the first line is a request line with a version other than 1.0 and 1.1.
fn names_other_version(bytes: &[u8]) -> bool {
    let line = bytes.trim_ascii_start().split(|&c| c == b'\n').next().unwrap_or_default();
    let parts: Vec<&[u8]> = line.trim_ascii_end().split(|&c| c == b' ').collect();
    let version = parts.last().and_then(|part| part.strip_prefix(b"HTTP/")).unwrap_or_default();
    let other =
        version.first().is_some_and(u8::is_ascii_digit) && !matches!(version, b"1.0" | b"1.1");
    parts.len() == 3 && other
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole request at the beginning of `head`, or the status of its refusal.
    fn parse(head: &str) -> Result<Request, u16> {
        match Request::parse(head.as_bytes()) {
            Ok(Some((request, length))) => {
                assert_eq!(length, head.len(), "{head:?}");
                Ok(request)
            }
            Ok(None) => panic!("{head:?} is not complete"),
            Err(refusal) => Err(refusal.status),
        }
    }

    /// A sound HTTP/1.1 request with some more header lines.
    fn with(fields: &str) -> Result<Request, u16> {
        parse(&format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"))
    }

    #[test]
    fn a_target_is_split_into_host_path_and_query() {
        for (target, host, path, query) in [
            ("/", "localhost", "/", None),
            ("/?", "localhost", "/", Some("")),
            ("/ws/lab?since=7?", "localhost", "/ws/lab", Some("since=7?")),
            ("//evil.example/", "localhost", "//evil.example/", None),
            ("/http://evil.example/", "localhost", "/http://evil.example/", None),
            ("http://talk.example/ws", "talk.example", "/ws", None),
            ("HTTPS://talk.example:8443", "talk.example:8443", "/", None),
            ("http://talk.example?a=1", "talk.example", "/", Some("a=1")),
            ("http://talk.example/a?b=/c", "talk.example", "/a", Some("b=/c")),
        ] {
            let request = parse(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            let request = request.unwrap_or_else(|status| panic!("{target}: {status}"));
            assert_eq!(request.host, host, "{target}");
            assert_eq!(request.path, path, "{target}");
            assert_eq!(request.query.as_deref(), query, "{target}");
        }
    }

    #[test]
    fn a_bad_request_line_is_refused() {
        for (line, status) in [
            ("GET * HTTP/1.1", 400),
            ("GET lab HTTP/1.1", 400),
            ("GET ftp://talk.example/ HTTP/1.1", 400),
            ("CONNECT talk.example:80 HTTP/1.1", 400),
            ("GET /ü HTTP/1.1", 400),
            ("GET /a b HTTP/1.1", 400),
            ("GET /", 400),
            ("G(T / HTTP/1.1", 400),
            ("GET / HTTP/2.0", 505),
            ("GET / HTTP/1.2", 505),
            ("GET / HTTP/x", 400),
            ("GET / SIP/2.0", 400),
        ] {
            let refused = parse(&format!("{line}\r\nHost: localhost\r\n\r\n"));
            assert_eq!(refused.expect_err(line), status, "{line}");
        }
    }

    #[test]
    fn there_is_exactly_one_host() {
        for (head, host) in [
            ("GET / HTTP/1.1\r\nHost: talk.example:8080\r\n\r\n", "talk.example:8080"),
            ("GET / HTTP/1.1\r\nhOST:\t[::1]:8080 \r\n\r\n", "[::1]:8080"),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", ""),
            ("GET / HTTP/1.0\r\n\r\n", ""),
        ] {
            assert_eq!(parse(head).map(|request| request.host), Ok(host.to_owned()), "{head:?}");
        }
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: ü\r\n\r\n",
            // The absolute form replaces the Host field, and still there must be one.
            "GET http://a/ HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(parse(head).expect_err(head), 400, "{head:?}");
        }
    }

    #[test]
    fn only_a_plain_content_length_tells_where_the_body_ends() {
        for (fields, length) in [
            ("", Ok(0)),
            ("Content-Length: 0\r\n", Ok(0)),
            ("content-length: 0012\r\n", Ok(12)),
            ("Content-Length: 99999999999999999999\r\n", Err(413)),
            ("Content-Length: \r\n", Err(400)),
            ("Content-Length: +5\r\n", Err(400)),
            ("Content-Length: -5\r\n", Err(400)),
            ("Content-Length: 0x5\r\n", Err(400)),
            ("Content-Length: 5, 5\r\n", Err(400)),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", Err(400)),
            ("Transfer-Encoding: Chunked\r\n", Err(411)),
            ("Transfer-Encoding: gzip, chunked\r\n", Err(400)),
            ("Transfer-Encoding: identity\r\n", Err(400)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(400)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Err(400)),
        ] {
            assert_eq!(with(fields).map(|request| request.body_length), length, "{fields:?}");
        }
        let head = "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(parse(head).expect_err("HTTP/1.0 knows no codings"), 400);
    }

    #[test]
    fn a_malformed_field_is_refused() {
        for fields in ["X : 1\r\n", "X: 1\r\n folded\r\n", "X\r\n", ": 1\r\n", "X: \0\r\n"] {
            assert_eq!(with(fields).expect_err(fields), 400, "{fields:?}");
        }
    }

    #[test]
    fn a_head_may_have_100_fields_and_16_kib() {
        let others = |count| "X: 1\r\n".repeat(count);
        assert!(with(&others(MAX_FIELDS - 1)).is_ok());
        assert_eq!(with(&others(MAX_FIELDS)).expect_err("101 fields"), 431);

        let rest = "GET / HTTP/1.1\r\nHost: localhost\r\nX: \r\n\r\n".len();
        let long = |count| with(&format!("X: {}\r\n", "x".repeat(count)));
        assert!(long(MAX_HEAD - rest).is_ok());
        assert_eq!(long(MAX_HEAD - rest + 1).expect_err("one byte more"), 431);

        let unfinished = |length| Request::parse(format!("GET /{:x<length$}", "").as_bytes());
        assert!(matches!(unfinished(MAX_HEAD - 6), Ok(None)));
        assert_eq!(unfinished(MAX_HEAD - 5).expect_err("16 KiB without an end").status, 431);
    }

    #[test]
    fn a_head_is_complete_with_its_last_byte() {
        let head = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        for length in 0..head.len() {
            assert!(matches!(Request::parse(&head[..length]), Ok(None)), "{length} bytes");
        }
        let Ok(Some((_, length))) = Request::parse(&[head.as_slice(), b"GET"].concat()) else {
            panic!("a whole head")
        };
        assert_eq!(length, head.len());
    }

    #[test]
    fn a_value_occurs_once_and_is_printable() {
        for (fields, value) in [
            ("", None),
            ("X:  a b \r\n", Some("a b")),
            ("x: a\r\n", Some("a")),
            ("X: a\r\nx: a\r\n", None),
            ("X: ü\r\n", None),
            ("X: a\tb\r\n", None),
            ("XX: a\r\n", None),
        ] {
            assert_eq!(with(fields).expect(fields).value("X"), value, "{fields:?}");
        }
    }

    #[test]
    fn cookies_come_from_all_fields_but_only_good_ones() {
        for (fields, cookies) in [
            ("", vec![]),
            ("Cookie: a=1\r\n", vec!["a=1"]),
            ("Cookie: a=1;b=2 ;; c=3;\r\ncookie: d=4\r\n", vec!["a=1", "b=2", "c=3", "d=4"]),
            ("Cookie: a=1; ü=2; b=ü; c=3\r\n", vec!["a=1", "c=3"]),
        ] {
            let request = with(fields).expect(fields);
            assert_eq!(request.cookies().collect::<Vec<_>>(), cookies, "{fields:?}");
        }
    }

    #[test]
    fn a_token_is_found_in_a_list_of_any_form() {
        for fields in ["C: upgrade\r\n", "c: keep-alive ,\tUPGRADE,\r\n", "C: a\r\nC: Upgrade\r\n"]
        {
            assert!(with(fields).expect(fields).has_token("C", "upgrade"), "{fields:?}");
        }
        for fields in
            ["", "C: upgrades\r\n", "C: up grade\r\n", "C: x=upgrade\r\n", "D: upgrade\r\n"]
        {
            assert!(!with(fields).expect(fields).has_token("C", "upgrade"), "{fields:?}");
        }
    }
}
