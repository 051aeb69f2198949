//! Ids and credentials from a seeded generator, in the forms that Cloudflare gives them.

use rand::RngExt;
use rand::distr::Alphanumeric;
use rand::rngs::StdRng;

/// `length` letters and digits, as in an API token.
pub(crate) fn alphanumerics(rng: &mut StdRng, length: usize) -> String {
    (0..length)
        .map(|_| char::from(rng.sample(Alphanumeric)))
        .collect()
}

/// `length` lower-case hex digits, as in an account id.
pub(crate) fn hex(rng: &mut StdRng, length: usize) -> String {
    (0..length)
        .filter_map(|_| char::from_digit(rng.random_range(0..16), 16))
        .collect()
}

/// A random UUID (RFC 9562, version 4), as in a token id.
pub(crate) fn uuid(rng: &mut StdRng) -> String {
    let digits: u128 = rng.random();
    let version_and_variant = 0x4000_8000_0000_0000_0000;
    let masked = digits & !0xf000_c000_0000_0000_0000 | version_and_variant;
    let hex = format!("{masked:032x}");
    let (a, rest) = hex.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}

/// The public half of a token's credentials.
pub(crate) fn client_id(rng: &mut StdRng) -> String {
    format!("{}.access", hex(rng, 32))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_uuid_states_its_version_and_variant() {
        let mut rng = StdRng::seed_from_u64(7);
        for _ in 0..100 {
            let id = uuid(&mut rng);
            let bytes = id.as_bytes();
            assert_eq!(id.len(), 36);
            assert_eq!(bytes[14], b'4', "{id}");
            assert!(b"89ab".contains(&bytes[19]), "{id}");
            assert!([8, 13, 18, 23].iter().all(|&at| bytes[at] == b'-'), "{id}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_text() {
        let text = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            (hex(&mut rng, 32), alphanumerics(&mut rng, 40))
        };
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }
}
