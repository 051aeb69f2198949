//! Finds secrets in the file, which has none, before any message repeats a part of it.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::Mistake;

/// The length of an API token, and of a global API key.
const API_TOKEN_LEN: usize = 40;
const API_KEY_LEN: usize = 37;
/// The length of an older secret of a service token.
const CLIENT_SECRET_LEN: usize = 64;
/// More hyphens and underscores than a random text of that length mostly has.
const MAX_SEPARATORS: usize = 5;

/// Returns a mistake for each key or string that looks like a secret.
pub(super) fn check(root: &DeTable<'_>) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    table(root, &mut mistakes);
    mistakes
}

fn table(table: &DeTable<'_>, mistakes: &mut Vec<Mistake>) {
    for (key, found) in table {
        match is_secret(key.get_ref()) {
            true => mistakes.push(mistake(key.span(), "a key")),
            false => value(key.get_ref(), found, mistakes),
        }
    }
}

fn value(key: &str, found: &Spanned<DeValue<'_>>, mistakes: &mut Vec<Mistake>) {
    match found.get_ref() {
        DeValue::String(text) if is_secret(text) => {
            mistakes.push(mistake(found.span(), &format!("the value of {key}")));
        }
        DeValue::String(text) if key.starts_with("ping") && text.contains("://") => {
            let what = format!("{key} is a URL, which counts as a secret");
            mistakes.push(Mistake::new(found.span(), what).next(
                "put the URL in a file that only its owner can read, and name that file with \
                 ping_file; or name a variable with ping_env",
            ));
        }
        DeValue::Array(items) => items.iter().for_each(|item| value(key, item, mistakes)),
        DeValue::Table(inner) => table(inner, mistakes),
        _ => {}
    }
}

fn mistake(at: std::ops::Range<usize>, what: &str) -> Mistake {
    Mistake::new(at, format!("{what} looks like a secret")).next(
        "the configuration file must not hold a secret: put it in a file that only its owner can \
         read, and write the name of that file here",
    )
}

/// Whether a word in a text has the form of an API token, of a global API key, or of a
/// service token's secret.
fn is_secret(text: &str) -> bool {
    let is_separator = |c: char| c == '-' || c == '_';
    text.split(|c: char| !c.is_ascii_alphanumeric() && !is_separator(c))
        .any(|word| {
            let has = |is: fn(&char) -> bool| word.chars().any(|c| is(&c));
            let is_hex = word.bytes().all(|byte| byte.is_ascii_hexdigit());
            let is_random = has(char::is_ascii_lowercase)
                && has(char::is_ascii_uppercase)
                && has(char::is_ascii_digit)
                && word.chars().filter(|c| is_separator(*c)).count() <= MAX_SEPARATORS;
            let starts = ["cfast_", "cfat_", "cfut_", "cfk_"];
            starts.iter().any(|start| word.contains(start))
                || (word.len() == API_TOKEN_LEN && is_random)
                || (is_hex && [API_KEY_LEN, CLIENT_SECRET_LEN].contains(&word.len()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_a_form_that_nothing_else_has() {
        for secret in [
            "cfast_aB3",
            "export X=cfut_abc",
            "vault write key=cfat_abc",
            "YQSn-xWAQiiEh9qM58wZNnyQS7FUdoqGIUAbrh7T",
            "https://x:YQSn_xWAQiiEh9qM58wZNnyQS7FUdoqGIUAbrh7T@example.com",
            "c2547eb745079dac9320b638f5e225cf483cc",
            &"0a".repeat(32),
        ] {
            assert!(is_secret(secret), "{secret}");
        }
        for name in [
            "",
            "deploy",
            "/run/secrets/cf-prod",
            "023e105f4ecef8ad9ca31a8372d0c353",
            "f174e90a-fafe-4643-bbbc-4a0ed4fc8415",
            "51408d71e4102ab080064395de53aba2.access",
            "Production-Kubernetes-Cluster-EU-Scrape-1",
            "production-kubernetes-cluster-scraper-01",
            "/nix/store/0c5b8vw40dy178xlpddw65q9gf1h2186-page/bin/page",
            "https://app.example.com/health",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
