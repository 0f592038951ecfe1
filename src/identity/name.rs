//! The name of a user: which names are valid, and which count as equal.
//!
//! Pure functions, on any thread. Not here: whether a name is taken (`store`).

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::confusable_detection::skeleton;

/// The longest name, in characters.
const MAX_CHARACTERS: usize = 40;

/// The name under which the owner of the server, who has `--admin-token`, does something in a room.
pub const OWNER: &str = "The owner";

/// A valid name.
#[derive(Debug, Eq, PartialEq)]
pub struct Name {
    /// The name as it is shown: in NFC, with single spaces, without characters that have no effect.
    pub shown: String,
    /// The form by which names are compared. It is equal for names that people would mistake for each
    /// other: see [`Name::folded`].
    pub folded: String,
}

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// The name is not valid; the error is a sentence for the user.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let composed: String = text.trim().nfc().collect();
        if composed.chars().any(is_hidden) {
            return Err("A name has no control characters, and none that hide or turn text round.");
        }
        let shown = tidy(&composed);
        if shown.chars().all(is_combining_mark) {
            return Err("A name has at least one character that can be seen.");
        }
        if shown.chars().count() > MAX_CHARACTERS {
            return Err("A name has 40 characters at most.");
        }
        let folded = Self::folded(&shown);
        if is_a_guests(&shown) {
            return Err("Guests are called so: choose another name.");
        }
        if folded == Self::folded(OWNER) {
            return Err("The owner of this server is called so: choose another name.");
        }
        if reads_as_another(&shown, &folded) {
            return Err("In capitals this reads as Latin letters: write it in small ones.");
        }
        Ok(Self { shown, folded })
    }

    /// Makes the form by which names are compared. First it removes case, and replaces the variants
    /// that Unicode has of usual characters (NFKC: `ﬁ`, full-width letters). Then it replaces each
    /// character by what it looks like (the skeleton of UTS 39, which drops invisible ones): `Аda`
    /// with a Cyrillic `А` equals `Ada`, and `B0b` equals `Bob`. One pair stays different on purpose:
    /// a capital `I` and a small `l` look the same in many fonts, but then `Ali` would equal `All`.
    ///
    /// The store keeps this form. When this function changes, the kept forms must be made anew
    /// (`schema`). So it accepts any name that was ever shown, tidy or not.
    pub fn folded(shown: &str) -> String {
        let compatible: String = shown.nfkc().collect();
        let alike: String = skeleton(&without_case(&compatible)).collect();
        // A digit may have become a capital: `0` looks like `O`.
        one_space(&without_case(&alike))
    }
}

/// Removes case: first to upper case, because there `ß` and `SS` become equal.
fn without_case(text: &str) -> String {
    text.to_uppercase().to_lowercase().nfc().collect()
}

/// Replaces spaces of any kind and number by one space, and removes joiners and selectors that have
/// no effect.
fn tidy(text: &str) -> String {
    let all: Vec<char> = text.chars().collect();
    let if_visible = |(place, &c): (usize, &char)| {
        let before = place.checked_sub(1).and_then(|place| all.get(place)).copied();
        let after = all.get(place + 1).copied();
        let is_kept = match c {
            '\u{200c}' | '\u{200d}' => before.is_some_and(joins) && after.is_some_and(joins),
            '\u{fe00}'..='\u{fe0f}' => before.is_some_and(|c| !c.is_alphabetic() && c != ' '),
            _ => true,
        };
        is_kept.then_some(c)
    };
    let visible: String = all.iter().enumerate().filter_map(if_visible).collect();
    one_space(&visible)
}

fn one_space(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a joiner beside this character can be visible: in Persian, in scripts of India, and where
/// several emoji become one. European scripts have lower code points, and use no joiners.
fn joins(c: char) -> bool {
    c >= '\u{590}' && !c.is_whitespace() && !matches!(c, '\u{200c}' | '\u{200d}')
}

/// Whether the name looks like a guest's: `guest`, `Guest 7`, `(guest-1)`. Digits at the ends are
/// removed first, because the folded form would make letters of them; an `l` may stand for a `1`.
fn is_a_guests(shown: &str) -> bool {
    let name = Name::folded(shown.trim_matches(|c: char| !c.is_alphabetic()));
    let letters: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
    let is_digit = |c: char| c.is_numeric() || matches!(c, 'o' | 'l');
    letters.strip_prefix("guest").is_some_and(|number| number.chars().all(is_digit))
}

/// Whether the name looks like a Latin one, but has another folded form. Some letters of two scripts
/// look alike only in capitals (`ТОМ` in Cyrillic), and the folded form has small letters.
fn reads_as_another(shown: &str, folded: &str) -> bool {
    let looks: String = shown.nfkc().map(latin).collect();
    !shown.is_ascii() && looks.is_ascii() && Name::folded(&looks) != folded
}

/// The Latin letters that a character looks like, if it looks like any.
fn latin(c: char) -> String {
    let own = c.to_string();
    if c.is_ascii() { own } else { skeleton(&own).collect() }
}

/// Whether a character is invisible, or changes the look of the text beside it: with such characters
/// one name could look like another. The joiners U+200C and U+200D, and the selectors from U+FE00 on,
/// are allowed where they have an effect: Persian and emoji need them.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            // Zero-width space; marks of direction.
            | '\u{200b}' | '\u{200e}' | '\u{200f}'
            // Line and paragraph separators; embeddings and overrides; isolates and invisibles.
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}'
            // Marks of shorthand and of music.
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            // Tags; and characters for private use, which look different everywhere.
            | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Name {
        Name::parse(text).unwrap_or_else(|why| panic!("{text:?}: {why}"))
    }

    #[test]
    fn a_name_is_what_people_call_themselves() {
        for good in [
            "Ada",
            "  Ada L.  ",
            "J\u{fc}rgen",
            "\u{5f20}\u{4f1f}",
            "\u{645}\u{62d}\u{645}\u{62f}",
            // "Woman technologist", and a flag of five characters.
            "\u{1f469}\u{200d}\u{1f4bb}",
            "\u{1f3f3}\u{fe0f}\u{200d}\u{1f308}",
            // Persian: "house-like", with a joiner that a reader sees.
            "\u{62e}\u{627}\u{646}\u{647}\u{200c}\u{627}\u{6cc}",
            "\u{412}\u{43e}\u{432}\u{430}",
            "o'Neil <b>",
            "O\u{2019}Ian",
            "7",
            "Guestine",
            "guesthouse",
            &"x".repeat(40),
        ] {
            assert_eq!(parsed(good).shown, good.trim(), "{good:?}");
        }
        assert_eq!(parsed("Ju\u{308}rgen").shown, "J\u{fc}rgen");
    }

    #[test]
    fn a_name_hides_nothing() {
        for bad in [
            "",
            "   ",
            "\u{301}",
            "\u{200d}",
            "\u{fe0f}\u{200c}",
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
            "a\u{1bca0}",
            "a\u{1d173}",
            "a\u{e0041}",
            &"x".repeat(41),
        ] {
            assert!(Name::parse(bad).is_err(), "{bad:?} passed");
        }
    }

    #[test]
    fn what_does_nothing_is_not_shown() {
        for (sent, shown) in [
            ("Ada\u{200d}", "Ada"),
            ("\u{200c}Ada", "Ada"),
            ("A\u{200d}da", "Ada"),
            ("Ada\u{fe0f}", "Ada"),
            ("Ada  L.", "Ada L."),
            ("Ada \u{200c} L.", "Ada L."),
            ("Ada\u{a0}\u{3000}L.", "Ada L."),
            ("\u{628}\u{200c}\u{200c}\u{628}", "\u{628}\u{628}"),
        ] {
            assert_eq!(parsed(sent).shown, shown, "{sent:?}");
        }
    }

    #[test]
    fn names_that_look_like_one_are_one() {
        for (one, same) in [
            ("ADA", "ada"),
            ("Stra\u{df}e", "STRASSE"),
            ("\u{ff21}\u{ff44}\u{ff41}", "Ada"),
            (
                "\u{3a3}\u{38a}\u{3a3}\u{3a5}\u{3a6}\u{39f}\u{3a3}",
                "\u{3a3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c2}",
            ),
            // Cyrillic for Latin, the whole name or a letter of it.
            ("\u{410}da", "Ada"),
            ("\u{440}\u{43e}\u{440}\u{430}", "popa"),
            // Digits for letters, and what a narrow font makes of two letters.
            ("B0b", "Bob"),
            ("A1", "Al"),
            ("Arno", "Amo"),
            ("O\u{2019}Neil", "O'Neil"),
            // Joiners and selectors that some do see.
            ("\u{62e}\u{647}\u{200c}\u{627}\u{6cc}", "\u{62e}\u{647}\u{627}\u{6cc}"),
            ("\u{2764}\u{fe0f}", "\u{2764}"),
            ("\u{416}\u{410}\u{41d}", "\u{416}\u{430}\u{43d}"),
        ] {
            assert_eq!(parsed(one).folded, parsed(same).folded, "{one:?} {same:?}");
        }
        assert_eq!(Name::folded(" Ada\u{200d}  L."), parsed("ada l.").folded);
        for (one, other) in [("Ada", "Ade"), ("Zo\u{eb}", "Zoe"), ("Ali", "All"), ("A B", "AB")] {
            assert_ne!(parsed(one).folded, parsed(other).folded, "{one:?} {other:?}");
        }
    }

    #[test]
    fn nobody_is_called_as_guests_are() {
        for bad in [
            "guest",
            "Guest",
            "GUEST-1",
            "guest-36",
            "Guest 7",
            "guest_10",
            "(guest)",
            "gue\u{455}t-4",
            "\u{ff47}uest",
            "guest\u{200d}",
            "guest-\u{667}\u{668}",
            "guest-l0",
        ] {
            assert!(Name::parse(bad).is_err(), "{bad:?} passed");
        }
    }

    #[test]
    fn nobody_is_called_as_the_owner_is() {
        for bad in [OWNER, "the owner", "THE  OWNER", "The 0wner", "Th\u{435} owner"] {
            assert!(Name::parse(bad).is_err(), "{bad:?} passed");
        }
        assert!(Name::parse("Owner").is_ok());
    }

    /// In small letters they look different, so their folded forms are different too.
    #[test]
    fn capitals_of_another_script_do_not_read_as_latin() {
        for bad in ["\u{412}\u{41e}\u{412}", "\u{422}\u{41e}\u{41c}", "\u{412}OB", "\u{391}\u{392}"]
        {
            assert!(Name::parse(bad).is_err(), "{bad:?} passed");
        }
    }
}
