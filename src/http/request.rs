//! One HTTP/1.x request head: its grammar, and every reason to refuse it.
//!
//! Stricter than the RFC asks, because tiny_http parses the request again, as the proxy writes it.
//! Two parsers that disagree about the end of a request make request smuggling possible (RFC 9112
//! §11.2). Not here: reading from the socket (`door`), and the meaning of a path. Pure functions, on
//! any thread.

use httparse::{EMPTY_HEADER, Error, Status};

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
    /// Host and port as the client wrote them; empty only in HTTP/1.0.
    pub host: String,
    /// The length of the body in bytes, as the head declares it. The door decides how much it takes.
    pub body_length: usize,
    fields: Vec<(String, Vec<u8>)>,
}

impl Request {
    /// Parses the head at the beginning of `bytes`: the request, and the length of its head in
    /// bytes. `None` if the head is not complete yet.
    ///
    /// ```
    /// use wsroom::http::request::Request;
    ///
    /// let bytes = b"POST /rooms/lab?x=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";
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
            fields: fields.map(|f| (f.name.to_owned(), f.value.to_vec())).collect(),
        };
        let authority = request.split_target()?;
        request.host = request.find_host(authority)?;
        request.body_length = request.find_body_length()?;
        Ok(Some((request, length)))
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

    /// All cookies, `name=value` each, of all Cookie fields. Cookies that are not printable ASCII are
    /// left out: another program has set them, against RFC 6265 §4.1.1.
    pub fn cookies(&self) -> impl Iterator<Item = &str> {
        let pairs = self.values("Cookie").flat_map(|value| value.split(|&c| c == b';'));
        let pairs = pairs.map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty());
        pairs.filter_map(|pair| {
            let sound = pair.iter().all(|c| (b' '..=b'~').contains(c));
            sound.then(|| std::str::from_utf8(pair).expect("ASCII is UTF-8"))
        })
    }

    /// Whether a field's comma-separated list contains `token`, in any case (RFC 9110 §5.6.1, §7.6.1).
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
        let sound = |host: &&str| {
            host.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(&c))
        };
        match host.filter(sound) {
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
