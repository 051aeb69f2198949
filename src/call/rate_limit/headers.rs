//! The header fields by which the API states its rate limit.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, List, ListEntry, Parameters, Parser};

use crate::call::rate_limit::{MAX_WAIT, Rule};

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The limit that an answer states in `Ratelimit` and `Ratelimit-Policy`.
#[derive(Debug, PartialEq)]
pub(crate) struct RateLimitHeaders {
    pub(super) remaining: u32,
    pub(super) resets_in: Duration,
    pub(super) rule: Option<Rule>,
}

impl RateLimitHeaders {
    /// Reads the limit with the fewest requests left.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let limits = items(&field(headers, &RATELIMIT)?)?;
        let (name, remaining, resets_in) = limits
            .iter()
            .filter_map(|(name, parameters)| {
                Some((name, whole(parameters, "r")?, whole(parameters, "t")?))
            })
            .min_by_key(|(_, remaining, _)| *remaining)?;
        let policies = field(headers, &RATELIMIT_POLICY).and_then(|text| rules(&text));
        let mut policies = policies.into_iter().flatten();
        let rule = policies
            .find(|(policy, _)| policy == name)
            .map(|(_, rule)| rule);
        Some(Self {
            remaining,
            resets_in: Duration::from_secs(resets_in.into()),
            rule,
        })
    }
}

/// Returns the rules in the header field `Ratelimit-Policy`, each with its name.
fn rules(text: &[u8]) -> Option<Vec<(BareItem, Rule)>> {
    let rules = items(text)?.into_iter().filter_map(|(name, parameters)| {
        let quota = whole(&parameters, "q").filter(|quota| *quota > 0)?;
        let window = whole(&parameters, "w").filter(|window| *window > 0)?;
        let window = Duration::from_secs(window.into()).min(MAX_WAIT);
        Some((name, Rule { quota, window }))
    });
    Some(rules.collect())
}

/// Joins the lines of a field (RFC 9110, section 5.3).
fn field<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    let mut lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let mut text = Cow::Borrowed(lines.next()?);
    for line in lines {
        let text = text.to_mut();
        text.extend_from_slice(b", ");
        text.extend_from_slice(line);
    }
    Some(text)
}

/// Parses a structured field (RFC 9651) as names with parameters.
fn items(text: &[u8]) -> Option<Vec<(BareItem, Parameters)>> {
    let list: List = Parser::new(text).parse().ok()?;
    let items = list.into_iter().filter_map(|entry| match entry {
        ListEntry::Item(item) => Some((item.bare_item, item.params)),
        ListEntry::InnerList(_) => None,
    });
    Some(items.collect())
}

/// Returns a parameter that is an integer and not negative.
fn whole(parameters: &Parameters, name: &str) -> Option<u32> {
    let (_, value) = parameters.iter().find(|(key, _)| key.as_str() == name)?;
    u32::try_from(i64::from(value.as_integer()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn rules_without_meaning_are_ignored() {
        assert_eq!(
            rules(br#""a";q=0;w=60, "b";q=9;w=0, "c";q=-1;w=60"#),
            Some(Vec::new())
        );
        let endless = rules(br#""a";q=9;w=4294967295"#).unwrap();
        assert_eq!(endless[0].1.window, MAX_WAIT);
    }

    #[test]
    fn header_fields_are_read_as_structured_fields() {
        let read = |limit: &str, policy: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("ratelimit", limit.parse().unwrap());
            headers.insert("ratelimit-policy", policy.parse().unwrap());
            RateLimitHeaders::read(&headers)
        };
        let expected = |remaining, resets_in, rule: Option<(u32, u64)>| {
            Some(RateLimitHeaders {
                remaining,
                resets_in: seconds(resets_in),
                rule: rule.map(|(quota, window)| Rule {
                    quota,
                    window: seconds(window),
                }),
            })
        };
        assert_eq!(
            read(r#""default";r=50;t=30"#, r#""default";q=1200;w=300"#),
            expected(50, 30, Some((1200, 300)))
        );
        assert_eq!(
            read(
                r#""a";r=50;t=30, "b";r=5;t=7"#,
                r#""a";q=100;w=60, "b";q=10;w=10"#
            ),
            expected(5, 7, Some((10, 10))),
            "the limit with the fewest requests left counts"
        );
        assert_eq!(
            read(r#""default";r=50;t=30"#, "nonsense;;"),
            expected(50, 30, None)
        );
        let mut two_lines = HeaderMap::new();
        two_lines.append("ratelimit", r#""a";r=50;t=30"#.parse().unwrap());
        two_lines.append("ratelimit", r#""b";r=5;t=7"#.parse().unwrap());
        assert_eq!(RateLimitHeaders::read(&two_lines), expected(5, 7, None));
        for unreadable in [
            "",
            "50",
            r#""default";r=-1;t=30"#,
            r#""default";r=50"#,
            r#""default";r=1.5;t=3"#,
            "r=50;t=30;;",
        ] {
            assert_eq!(
                read(unreadable, r#""default";q=1200;w=300"#),
                None,
                "{unreadable}"
            );
        }
    }
}
