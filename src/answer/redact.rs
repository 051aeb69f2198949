//! Redacts secrets in text for people.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

/// The text in the place of a secret.
const REDACTED: &str = "[redacted]";
/// The prefix of the client secrets that Cloudflare has issued since August 2026.
const CLIENT_SECRET_PREFIX: &str = "cfast_";
/// The number of hexadecimal digits in an older client secret.
const HEX_CLIENT_SECRET_LEN: usize = 64;

/// The number of letters and digits after that prefix.
const CLIENT_SECRET_REST_LEN: usize = 48;
/// A shorter start of a known secret may be any word.
const MIN_BEGINNING_LEN: usize = 8;

/// Finds the secrets that a client sends, and everything that looks like a client
/// secret.
#[derive(Clone)]
pub(crate) struct Redactor {
    known: Arc<[SecretString]>,
}

impl Redactor {
    pub(crate) fn new(known: impl Into<Arc<[SecretString]>>) -> Self {
        Self {
            known: known.into(),
        }
    }

    /// Returns the text without any secret that the client sends, and without anything
    /// that looks like the secret of a service token.
    pub(crate) fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.known.iter() {
            text = text.replace(secret.expose_secret(), REDACTED);
            without_beginning_at_end(&mut text, secret.expose_secret());
        }
        without_client_secrets(&text)
    }

    /// Whether redaction would leave the text unchanged.
    pub(crate) fn is_clean(&self, text: &str) -> bool {
        let mut known = self.known.iter().map(ExposeSecret::expose_secret);
        !known.any(|secret| text.contains(secret) || beginning_at_end(text, secret).is_some())
            && !is_like_client_secret(text)
            && !is_cut_client_secret(text)
    }
}

/// Replaces the start of a secret that is cut off at the end of the text.
fn without_beginning_at_end(text: &mut String, secret: &str) {
    if let Some(beginning) = beginning_at_end(text, secret) {
        text.truncate(text.len() - beginning.len());
        text.push_str(REDACTED);
    }
}

/// Returns the start of a secret that is cut off at the end of the text.
fn beginning_at_end<'a>(text: &str, secret: &'a str) -> Option<&'a str> {
    let last = text.bytes().next_back();
    let end = secret.len().min(text.len() + 1);
    (MIN_BEGINNING_LEN..end)
        .rev()
        // Most lengths are ruled out by one byte.
        .filter(|len| secret.as_bytes().get(len - 1).copied() == last)
        .filter_map(|len| secret.get(..len))
        .find(|beginning| text.ends_with(beginning))
}

/// Replaces each word that looks like a client secret, or like a part of one.
fn without_client_secrets(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word_len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(word_len);
        let is_cut = tail.is_empty() && is_cut_client_secret(word);
        clean.push_str(if is_cut || is_like_client_secret(word) {
            REDACTED
        } else {
            word
        });
        let gap_len = tail.find(is_word).unwrap_or(tail.len());
        let (gap, next) = tail.split_at(gap_len);
        clean.push_str(gap);
        rest = next;
    }
    clean
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Whether a text is exactly a client secret.
pub(crate) fn is_client_secret(text: &str) -> bool {
    match text.strip_prefix(CLIENT_SECRET_PREFIX) {
        Some(rest) => {
            rest.len() == CLIENT_SECRET_REST_LEN
                && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        }
        None => {
            text.len() == HEX_CLIENT_SECRET_LEN && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        }
    }
}

/// Whether a word of a text is a client secret.
pub(crate) fn holds_client_secret(text: &str) -> bool {
    text.split(|character| !is_word(character))
        .any(is_client_secret)
}

/// Whether a part of the text looks like a client secret or a part of one.
fn is_like_client_secret(text: &str) -> bool {
    // `contains` would first prepare its search, which takes longer than this for a single word.
    let prefix = CLIENT_SECRET_PREFIX.as_bytes();
    let mut starts = text.as_bytes().windows(prefix.len());
    let mut parts = text.split(|c: char| !c.is_ascii_hexdigit());
    starts.any(|start| start == prefix)
        || text.len() >= HEX_CLIENT_SECRET_LEN
            && parts.any(|digits| digits.len() >= HEX_CLIENT_SECRET_LEN)
}

/// Whether the last word of a text may be the start of an older client secret. Ids are at
/// most half as long.
fn is_cut_client_secret(text: &str) -> bool {
    let is_long = |text: &str| text.len() > HEX_CLIENT_SECRET_LEN / 2;
    let mut words = text.rsplit(|character| !is_word(character));
    is_long(text)
        && words
            .next()
            .is_some_and(|word| is_long(word) && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact(text: &str) -> String {
        Redactor::new(["known-token".into()]).redact(text)
    }

    #[test]
    fn the_clients_secrets_are_redacted() {
        assert_eq!(
            redact("Bearer known-token, known-token"),
            "Bearer [redacted], [redacted]"
        );
    }

    #[test]
    fn both_forms_of_client_secret_are_redacted() {
        let hex = "bdd31cbc4dec990953e39163fbbb194c93313ca9f0a6e420346af9d326b1d2a5";
        let new = "cfast_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hI5kL7n12ab34cd";
        assert_eq!(
            redact(&format!(r#"{{"client_secret":"{hex}","x":"{new}"}} end"#)),
            r#"{"client_secret":"[redacted]","x":"[redacted]"} end"#
        );
        assert_eq!(redact(&format!("a{hex}f")), "[redacted]");
    }

    #[test]
    fn the_start_of_a_new_secret_is_redacted() {
        assert_eq!(redact("cut: cfast_aB3"), "cut: [redacted]");
    }

    #[test]
    fn the_start_of_a_known_secret_at_the_end_is_redacted() {
        for cut in ["known-to", "known-tok", "known-toke"] {
            assert_eq!(redact(&format!("Bearer {cut}")), "Bearer [redacted]");
        }
        for text in ["Bearer known-t", "known-toke and more"] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn only_an_exact_client_secret_is_one() {
        let hex = "bdd31cbc4dec990953e39163fbbb194c93313ca9f0a6e420346af9d326b1d2a5";
        let new = "cfast_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hI5kL7n12ab34cd";
        for secret in [hex, new] {
            assert!(is_client_secret(secret));
            for other in [
                format!("{secret}0"),
                format!("a{secret}"),
                format!("{secret} "),
                format!("https://example.com/{secret}"),
                secret[1..].to_owned(),
                secret[..secret.len() - 1].to_owned(),
            ] {
                assert!(!is_client_secret(&other), "{other}");
            }
        }
    }

    #[test]
    fn clean_text_is_left_unchanged() {
        let redactor = Redactor::new(["known-token".into()]);
        assert!(redactor.is_clean("8f2b1c9d0e1f2a3b-FRA"));
        assert!(!redactor.is_clean("text/html; was=known-token"));
        assert!(!redactor.is_clean("text/html; was=cfast_aB3"));
    }

    #[test]
    fn a_secret_that_is_cut_off_is_redacted() {
        let hex = &"bdd31cbc4dec990953e39163fbbb194c93313ca9f0a6e420346af9d326b1d2a5"[..61];
        let redactor = Redactor::new(["known-token-of-some-length".into()]);
        for text in [format!("x {hex}"), "x known-token-of".to_owned()] {
            assert_eq!(redactor.redact(&text), "x [redacted]");
            assert!(!redactor.is_clean(&text), "{text}");
        }
        for text in [format!("{hex} x"), "8f2b1c9d0e1f2a3b-FRA".to_owned()] {
            assert_eq!(redactor.redact(&text), text);
            assert!(redactor.is_clean(&text), "{text}");
        }
    }

    #[test]
    fn other_text_is_unchanged() {
        for text in [
            "",
            "plain",
            "8f2b1c9d0e1f2a3b-FRA",
            "f174e90a-fafe-4643-bbbc-4a0ed4fc8415",
            "no access to account 023e105f4ecef8ad9ca31a8372d0c353",
            "ümläut → ok",
        ] {
            assert_eq!(redact(text), text);
        }
    }
}
