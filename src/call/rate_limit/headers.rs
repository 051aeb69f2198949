//! The header fields by which the API states its rate limit.

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::visitor::{
    EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ListVisitor, ParameterVisitor,
};
use sfv::{BareItemFromInput, KeyRef, Parser};

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
        let limits = field(headers, &RATELIMIT)?;
        let limits = items(&limits, ["r", "t"])?;
        let (name, [remaining, resets_in]) = limits
            .into_iter()
            .min_by_key(|(_, [remaining, _])| *remaining)?;
        let policies = field(headers, &RATELIMIT_POLICY);
        let rules = policies.as_deref().and_then(rules).unwrap_or_default();
        let rule = rules.into_iter().find(|(policy, _)| *policy == name);
        let rule = rule.map(|(_, rule)| rule);
        Some(Self {
            remaining,
            resets_in: Duration::from_secs(resets_in.into()),
            rule,
        })
    }
}

/// Returns the rules in the header field `Ratelimit-Policy`, each with its name.
fn rules(text: &[u8]) -> Option<Vec<(BareItemFromInput<'_>, Rule)>> {
    let items = items(text, ["q", "w"])?.into_iter();
    let rules = items.filter(|(_, [quota, window])| *quota > 0 && *window > 0);
    let rules = rules.map(|(name, [quota, window])| {
        let window = Duration::from_secs(window.into()).min(MAX_WAIT);
        (name, Rule { quota, window })
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

/// An item of a structured field: its name, and two of its parameters.
type Item<'a> = (BareItemFromInput<'a>, [u32; 2]);

/// Parses a structured field (RFC 9651), and returns the items whose parameters of these names
/// are integers and not negative.
fn items<'a>(text: &'a [u8], parameters: [&'static str; 2]) -> Option<Vec<Item<'a>>> {
    let mut items = Items {
        parameters,
        found: Vec::new(),
    };
    Parser::new(text).parse_list_with_visitor(&mut items).ok()?;
    Some(items.found)
}

/// Collects the items while the field is parsed.
struct Items<'a> {
    parameters: [&'static str; 2],
    found: Vec<Item<'a>>,
}

impl<'a> ListVisitor<'a> for &mut Items<'a> {
    type Out = ();
    type Error = Infallible;

    fn entry(&mut self) -> Result<impl EntryVisitor<'a>, Infallible> {
        Ok(Entry(self))
    }

    fn finish(self) -> Result<(), Infallible> {
        Ok(())
    }
}

struct Entry<'i, 'a>(&'i mut Items<'a>);

impl<'a> EntryVisitor<'a> for Entry<'_, 'a> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'a>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'a>, Infallible> {
        Ok(Ignored)
    }
}

impl<'a> ItemVisitor<'a> for Entry<'_, 'a> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        name: BareItemFromInput<'a>,
    ) -> Result<impl ParameterVisitor<'a, Out = ()>, Infallible> {
        Ok(Numbers {
            items: self.0,
            name,
            numbers: [None; 2],
        })
    }
}

struct Numbers<'i, 'a> {
    items: &'i mut Items<'a>,
    name: BareItemFromInput<'a>,
    numbers: [Option<u32>; 2],
}

impl<'a> ParameterVisitor<'a> for Numbers<'_, 'a> {
    type Out = ();
    type Error = Infallible;

    fn parameter(
        &mut self,
        key: &'a KeyRef,
        value: BareItemFromInput<'a>,
    ) -> Result<(), Infallible> {
        let names = self.items.parameters.into_iter();
        for (name, number) in names.zip(&mut self.numbers) {
            if key.as_str() == name {
                let value = value.as_integer().map(i64::from);
                *number = value.and_then(|value| u32::try_from(value).ok());
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Infallible> {
        if let [Some(first), Some(second)] = self.numbers {
            self.items.found.push((self.name, [first, second]));
        }
        Ok(())
    }
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
