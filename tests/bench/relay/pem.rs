//! PEM (RFC 7468), the form in which the program takes its files; only written.

/// One item of a file.
pub fn item(label: &str, der: &[u8]) -> String {
    // 48 bytes in a line of 64 letters.
    let lines = der.chunks(48).map(|piece| piece.chunks(3).flat_map(letters).collect());
    let lines: Vec<String> = lines.collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Base64 (RFC 4648 §4): up to three bytes in four letters.
fn letters(bytes: &[u8]) -> [char; 4] {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let byte = |place| u32::from(bytes.get(place).copied().unwrap_or(0));
    let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
    let mut letters = [18, 12, 6, 0].map(|shift| LETTERS[(bits >> shift & 63) as usize].into());
    letters[bytes.len() + 1..].fill('=');
    letters
}
