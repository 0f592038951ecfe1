//! The heads of a handshake as an experiment is shown them: with every secret left out, because the
//! experiment may be on a projector.
//!
//! Not here: what the heads mean (`request`, `handshake`). Pure functions, on the connection's thread.

/// Fields whose values are secrets, in lower case.
const SECRET_FIELDS: [&str; 5] =
    ["authorization", "cookie", "proxy-authorization", "room-key", "set-cookie"];

/// Parameters of a query whose values are secrets.
const SECRET_PARAMETERS: [&str; 3] = ["key", "session", "token"];

/// Stands for a secret.
const LEFT_OUT: &str = "…";

/// A head as it stood on the wire, but for its secrets. Bytes that are not UTF-8 are replaced.
pub fn without_secrets(head: &[u8]) -> String {
    String::from_utf8_lossy(head).split_inclusive('\n').map(line_without_secrets).collect()
}

/// One line with its end. A query may be in the first line, and in a Referer.
fn line_without_secrets(line: &str) -> String {
    let content = line.trim_end_matches(['\r', '\n']);
    let end = &line[content.len()..];
    if let Some((name, _)) = content.split_once(':')
        && SECRET_FIELDS.contains(&name.to_ascii_lowercase().as_str())
    {
        return format!("{name}: {LEFT_OUT}{end}");
    }
    let Some((before, behind)) = content.split_once('?') else { return line.to_owned() };
    let (query, rest) = behind.split_at(behind.find(' ').unwrap_or(behind.len()));
    let query: Vec<_> = query.split('&').map(parameter_without_secret).collect();
    format!("{before}?{}{rest}{end}", query.join("&"))
}

fn parameter_without_secret(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if SECRET_PARAMETERS.contains(&name) => format!("{name}={LEFT_OUT}"),
        _ => parameter.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out_and_nothing_else() {
        for (head, shown) in [
            ("GET /echo?frames HTTP/1.1\r\n\r\n", "GET /echo?frames HTTP/1.1\r\n\r\n"),
            ("GET /echo?token=a=b?c&frames HTTP/1.1\r\n", "GET /echo?token=…&frames HTTP/1.1\r\n"),
            ("GET /?frames&key=a&session=b HTTP/1.1\n", "GET /?frames&key=…&session=… HTTP/1.1\n"),
            ("\r\nGET /echo?monkey=a&key HTTP/1.1\r\n", "\r\nGET /echo?monkey=a&key HTTP/1.1\r\n"),
            ("Cookie: a=b; c=d\r\nHost:x\r\n", "Cookie: …\r\nHost:x\r\n"),
            ("AUTHORIZATION:Bearer a\r\n", "AUTHORIZATION: …\r\n"),
            ("room-key: a\r\nSet-Cookie: a=b\r\n", "room-key: …\r\nSet-Cookie: …\r\n"),
            ("Referer: http://x/?token=a\r\nX: y\r\n", "Referer: http://x/?token=…\r\nX: y\r\n"),
        ] {
            assert_eq!(without_secrets(head.as_bytes()), shown);
        }
        assert_eq!(without_secrets(b"X: \xff\r\n"), "X: \u{fffd}\r\n");
    }
}
