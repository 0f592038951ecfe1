//! The name of a file in a Content-Disposition field (RFC 6266): `attachment; filename="a.png"`, or
//! beyond ASCII `attachment; filename*=UTF-8''%C3%A4.png` (RFC 8187).
//!
//! It is strict: a value that can be read in two ways is refused, because a name that was guessed
//! would be kept. Not here: how long a name may be, and what is posted with it (`rooms`). Pure
//! functions, on the page's threads.

use percent_encoding::percent_decode_str;

/// The sentence for a value that does not follow the grammar.
const MALFORMED: &str =
    "Content-Disposition is not as it should be, such as: attachment; filename=\"a.png\".";

/// The name of a file in a field's value, decoded; empty if the value names none. `filename*` wins
/// over `filename` (RFC 6266 §4.3).
///
/// # Errors
/// A sentence: the value does not follow the grammar, names a parameter twice, or is not UTF-8.
pub fn file_name(value: &str) -> Result<String, &'static str> {
    let (_disposition, mut rest) = token(value.trim_matches(WHITE)).ok_or(MALFORMED)?;
    let (mut name, mut extended) = (None, None);
    while let Some((parameter, value, behind)) = parameter(rest)? {
        rest = behind;
        let (place, value) = match &*parameter.to_ascii_lowercase() {
            "filename" => (&mut name, value),
            "filename*" => (&mut extended, decoded(&value)?),
            _ => continue,
        };
        if place.replace(value).is_some() {
            return Err("Content-Disposition names the file twice.");
        }
    }
    Ok(extended.or(name).unwrap_or_default())
}

/// Optional whitespace (RFC 9110 §5.6.3).
const WHITE: [char; 2] = [' ', '\t'];

/// The next parameter: its name, its value, and what is behind it. `None` at the end.
fn parameter(rest: &str) -> Result<Option<(&str, String, &str)>, &'static str> {
    let rest = rest.trim_start_matches(WHITE);
    if rest.is_empty() {
        return Ok(None);
    }
    let parsed = || {
        let (name, rest) = token(rest.strip_prefix(';')?.trim_start_matches(WHITE))?;
        let rest = rest.strip_prefix('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            // Only a token can be an extended value (RFC 8187 §3.2.1).
            Some(quoted) if !name.ends_with('*') => quoted_string(quoted)?,
            _ => token(rest).map(|(value, rest)| (value.to_owned(), rest))?,
        };
        Some((name, value, rest))
    };
    parsed().map(Some).ok_or(MALFORMED)
}

/// The token at the beginning, and what is behind it (RFC 9110 §5.6.2).
fn token(text: &str) -> Option<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// The string up to its closing quote, and what is behind that. A backslash makes the next character
/// a part of the string (RFC 9110 §5.6.4).
fn quoted_string(text: &str) -> Option<(String, &str)> {
    let mut string = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return Some((string, characters.as_str())),
            '\\' => string.push(characters.next()?),
            other => string.push(other),
        }
    }
}

/// The text in an extended value: `UTF-8'LANGUAGE'TEXT`, percent-encoded (RFC 8187 §3.2).
fn decoded(value: &str) -> Result<String, &'static str> {
    let mut parts = value.splitn(3, '\'');
    let (charset, _language, text) = match (parts.next(), parts.next(), parts.next()) {
        (Some(charset), Some(language), Some(text)) => (charset, language, text),
        _ => return Err("filename* begins with UTF-8''."),
    };
    if !charset.eq_ignore_ascii_case("UTF-8") {
        return Err("The only charset of filename* is UTF-8.");
    }
    let escapes = text.split('%').skip(1);
    let is_byte = |escape: &str| {
        escape.len() >= 2 && escape.bytes().take(2).all(|digit| digit.is_ascii_hexdigit())
    };
    if text.contains(['\'', '*']) || !escapes.into_iter().all(is_byte) {
        return Err("filename* is not percent-encoded.");
    }
    let text = percent_decode_str(text).decode_utf8();
    text.map(Into::into).map_err(|_| "filename* is not UTF-8.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_token_a_string_or_an_extended_value() {
        for (value, name) in [
            ("attachment", ""),
            ("attachment; size=7", ""),
            ("attachment; filename=a.png", "a.png"),
            ("attachment; filename=\"a.png\"", "a.png"),
            ("attachment;filename=\"a b; c=d.png\"", "a b; c=d.png"),
            (r#"attachment; filename="a\"b\\c.png""#, r#"a"b\c.png"#),
            ("ATTACHMENT \t; FileName=\"a.png\"\t", "a.png"),
            ("inline; filename=a.png; size=7", "a.png"),
            ("form-data; name=\"file\"; filename=\"a.png\"", "a.png"),
            ("attachment; filename=\"\"", ""),
            ("attachment; filename=\"%41.png\"", "%41.png"),
            ("attachment; filename*=UTF-8''%C3%A4%20b.png", "ä b.png"),
            ("attachment; filename*=utf-8'de'a.png", "a.png"),
            ("attachment; filename*=UTF-8''", ""),
            ("attachment; filename*=UTF-8''%e5%bc%b5.png; filename=\"_.png\"", "張.png"),
            ("attachment; filename=\"_.png\"; filename*=UTF-8''%e5%bc%b5.png", "張.png"),
        ] {
            assert_eq!(file_name(value).as_deref(), Ok(name), "{value}");
        }
    }

    #[test]
    fn a_value_that_leaves_its_meaning_open_is_refused() {
        for value in [
            "",
            "filename=a.png",
            "=a.png",
            "; filename=a.png",
            "attachment filename=a.png",
            "attachment, filename=a.png",
            "attachment;",
            "attachment; filename",
            "attachment; filename=",
            "attachment; filename = a.png",
            "attachment; filename=a b.png",
            "attachment; filename=a/b.png",
            "attachment; filename=\"a.png",
            "attachment; filename=\"a.png\\",
            "attachment; filename=\"a\"b.png",
            "attachment; filename='a b.png'",
            "attachment; filename=a.png; filename=a.png",
            "attachment; filename*=UTF-8''a; FILENAME*=UTF-8''b",
            "attachment; filename*=a.png",
            "attachment; filename*=UTF-8'a.png",
            "attachment; filename*=\"UTF-8''a.png\"",
            "attachment; filename*=ISO-8859-1''%E4.png",
            "attachment; filename*=UTF-8''%E4.png",
            "attachment; filename*=UTF-8''%C3%A",
            "attachment; filename*=UTF-8''100%",
            "attachment; filename*=UTF-8''%+1",
            "attachment; filename*=UTF-8''a'b",
            "attachment; filename*=UTF-8''a b",
        ] {
            let sentence = file_name(value).expect_err(value);
            assert!(sentence.ends_with('.') && sentence.contains(' '), "{value}: {sentence}");
        }
    }
}
