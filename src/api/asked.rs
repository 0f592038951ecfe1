//! The parts of a request to the API: its header fields, its parameters, its body, and its peer.
//!
//! The proxy has written each request anew, so it is small, whole and well formed. Not here: what a
//! request means (`routes` and the files behind it). Runs on the page's threads.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use tiny_http::Request;

use super::cookies::{COOKIES, Cookies};
use super::reply::{Reply, problem};

/// The header field in which the proxy names the client's IP address. A client's own field of that
/// name does not reach tiny_http.
pub const PEER: &str = "Peer";

/// The client that sends a request, as the door knows it. The proxy writes it into two fields.
pub struct Caller {
    /// Its IP address, in the field [`PEER`].
    pub address: IpAddr,
    /// The cookies for it, in the field [`COOKIES`].
    pub cookies: Cookies,
}

/// The value of a header field; of the first one if there are more.
pub fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let mut fields = request.headers().iter();
    let found = fields.find(|header| header.field.as_str().as_str().eq_ignore_ascii_case(name));
    found.map(|header| header.value.as_str())
}

/// The media type of the body, in lower case and without parameters; empty if there is none.
pub fn media_type(request: &Request) -> String {
    let value = header(request, "Content-Type").unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The whole body.
///
/// # Errors
/// A 400: the body was cut short.
pub fn body(request: &mut Request) -> Result<Vec<u8>, Reply> {
    let mut body = Vec::new();
    let read = request.as_reader().read_to_end(&mut body);
    read.map_err(|error| problem(400, &error.to_string()))?;
    Ok(body)
}

/// A 415: the body is neither JSON nor a form.
pub fn neither_json_nor_form() -> Reply {
    let detail = "Send JSON (Content-Type: application/json) or a form \
                  (application/x-www-form-urlencoded).";
    problem(415, detail)
}

/// The IP address of the client, from the field [`PEER`].
pub fn peer(request: &Request) -> IpAddr {
    let address = header(request, PEER).and_then(|address| address.parse().ok());
    address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
}

/// The cookies for the client, from the field [`COOKIES`].
pub fn cookies(request: &Request) -> Cookies {
    header(request, COOKIES).and_then(Cookies::read).expect("the proxy writes it")
}

/// The value of a parameter in a query, not decoded; of the first one if there are more.
pub fn parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

/// The text in a parameter, decoded as a form is; of the first one if there are more.
pub fn text(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let mut fields = form_urlencoded::parse(query.as_bytes());
    fields.find_map(|(field, value)| (field == name).then(|| value.into_owned()))
}

/// The whole number in a parameter, or `default` if there is no such parameter.
///
/// # Errors
/// A 400: it is no whole number, or too large.
pub fn number<N: FromStr>(url: &str, name: &str, default: N) -> Result<N, Reply> {
    parameter(url, name).map_or(Ok(default), |digits| {
        digits.parse().map_err(|_| problem(400, &format!("{name} is a whole number.")))
    })
}

/// The parameter `limit`, from 1 to `largest`.
///
/// # Errors
/// A 400: it is no whole number in that range.
pub fn limit(url: &str, default: usize, largest: usize) -> Result<usize, Reply> {
    let limit = parameter(url, "limit").map_or(Some(default), |digits| digits.parse().ok());
    limit
        .filter(|limit| (1..=largest).contains(limit))
        .ok_or_else(|| problem(400, &format!("limit is a whole number from 1 to {largest}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_by_its_whole_name() {
        for (url, value) in [
            ("/rooms", None),
            ("/rooms?", None),
            ("/rooms?after", None),
            ("/rooms?after=", Some("")),
            ("/rooms?after=lab", Some("lab")),
            ("/rooms?limit=2&after=lab", Some("lab")),
            ("/rooms?after=a&after=b", Some("a")),
            ("/rooms?after=a=b", Some("a=b")),
            ("/rooms?after=%61", Some("%61")),
            ("/rooms?after=http://a/?b", Some("http://a/?b")),
            ("/rooms?hereafter=a", None),
            ("/rooms?afters=a", None),
            ("/rooms?After=a", None),
            ("/after=a?limit=2", None),
        ] {
            assert_eq!(parameter(url, "after"), value, "{url}");
        }
    }

    #[test]
    fn a_number_is_whole_and_may_be_left_out() {
        for (url, value) in [
            ("/users", Ok(7)),
            ("/users?after=0", Ok(0)),
            ("/users?after=12", Ok(12)),
            ("/users?after=-3", Ok(-3)),
            ("/users?after=", Err(400)),
            ("/users?after=1.5", Err(400)),
            ("/users?after=ten", Err(400)),
            ("/users?after=99999999999999999999", Err(400)),
        ] {
            let number = number::<i64>(url, "after", 7).map_err(|reply| reply.status_code().0);
            assert_eq!(number, value, "{url}");
        }
    }

    #[test]
    fn a_limit_is_between_one_and_the_largest() {
        for (url, value) in [
            ("/users", Ok(50)),
            ("/users?limit=1", Ok(1)),
            ("/users?limit=200", Ok(200)),
            ("/users?limit=201", Err(400)),
            ("/users?limit=0", Err(400)),
            ("/users?limit=-1", Err(400)),
            ("/users?limit=", Err(400)),
            ("/users?limit=all", Err(400)),
        ] {
            let limit = limit(url, 50, 200).map_err(|reply| reply.status_code().0);
            assert_eq!(limit, value, "{url}");
        }
    }
}
