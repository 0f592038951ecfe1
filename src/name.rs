//! What a user may be called.
//!
//! Pure functions, on any thread. Not here: whether the name is taken (`store`).

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The longest name, in characters.
const LONGEST: usize = 40;

/// A name that is known to be good.
#[derive(Debug, Eq, PartialEq)]
pub struct Name {
    /// As it is shown: trimmed, NFC.
    pub shown: String,
    /// The same for all names that people would take for one: without regard to case, and to the
    /// forms that Unicode has beside the usual ones (NFKC: `ﬁ`, full-width letters). First to upper
    /// case, because there `ß` and `SS` are one. Letters of different scripts that look alike stay
    /// apart: telling these is more than a small server should try.
    pub folded: String,
}

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let shown: String = text.trim().nfc().collect();
        if shown.is_empty() || shown.chars().all(is_combining_mark) {
            return Err("A name has at least one character that can be seen.");
        }
        if shown.chars().count() > LONGEST {
            return Err("A name has 40 characters at most.");
        }
        if shown.chars().any(is_hidden) {
            return Err("A name has no control characters, and none that hide or turn text round.");
        }
        let compatible: String = shown.nfkc().collect();
        let folded = compatible.to_uppercase().to_lowercase().nfc().collect();
        Ok(Self { shown, folded })
    }
}

/// Characters that nobody sees, or that make the text beside them look otherwise: with them one
/// name could pass for another. The joiners U+200C and U+200D may stay: Persian and emoji need
/// them.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            // Zero-width space; marks of direction.
            | '\u{200b}' | '\u{200e}' | '\u{200f}'
            // Line and paragraph separators; embeddings and overrides; isolates and invisibles.
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}'
            // Tags, and what is for private use, which looks different everywhere.
            | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        Name::parse(text).unwrap_or_else(|why| panic!("{text:?}: {why}")).folded
    }

    #[test]
    fn a_name_is_what_people_call_themselves() {
        for good in [
            "Ada",
            "  Ada L.  ",
            "Jürgen",
            "张伟",
            "محمد",
            "👩‍💻",
            "o'Neil <b>",
            "7",
            &"x".repeat(40),
        ] {
            assert!(Name::parse(good).is_ok(), "{good:?} was refused");
        }
        assert_eq!(Name::parse("  Ada  ").unwrap().shown, "Ada");
        assert_eq!(Name::parse("Ju\u{308}rgen").unwrap().shown, "J\u{fc}rgen");
    }

    #[test]
    fn a_name_hides_nothing() {
        for bad in [
            "",
            "   ",
            "\u{301}",
            "a\u{0}",
            "a\nb",
            "a\u{7f}",
            "a\u{85}b",
            "\u{202e}adA",
            "a\u{2066}b",
            "a\u{200b}b",
            "a\u{feff}",
            "a\u{2028}b",
            "a\u{ad}b",
            "\u{3164}",
            "a\u{e0041}",
            &"x".repeat(41),
        ] {
            assert!(Name::parse(bad).is_err(), "{bad:?} passed");
        }
    }

    #[test]
    fn names_that_look_like_one_are_one() {
        assert_eq!(folded("ADA"), folded("ada"));
        assert_eq!(folded("Straße"), folded("STRASSE"));
        assert_eq!(folded("Ａｄａ"), folded("Ada"));
        assert_eq!(folded("ΣΊΣΥΦΟΣ"), folded("Σίσυφος"));
        assert_ne!(folded("Ada"), folded("Ade"));
    }
}
