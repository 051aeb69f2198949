//! Client Secrets: made once, shown once, kept as a hash.

use std::fmt;

use rand::rngs::StdRng;
use sha2::{Digest, Sha256};

use crate::state::generator;

/// A Client Secret on its way into a response.
pub(crate) struct ClientSecret(String);

impl ClientSecret {
    /// `cfast_`, forty alphanumerics and a checksum of eight characters: the
    /// format that Cloudflare has issued since August 2026.
    pub(crate) fn generate(rng: &mut StdRng) -> Self {
        let random = generator::alphanumerics(rng, 40);
        let checksum: String = Sha256::digest(random.as_bytes())
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self(format!("cfast_{random}{checksum}"))
    }

    /// Returns the text, for the one response that may hold it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(REDACTED)")
    }
}

/// The hash of a Client Secret, which is all that the simulator keeps of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SecretHash([u8; 32]);

impl SecretHash {
    pub(crate) fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_secret_has_the_current_format_and_is_never_debug_printed() {
        let mut rng = StdRng::seed_from_u64(1);
        let secret = ClientSecret::generate(&mut rng);
        let text = secret.expose();

        let random = text.strip_prefix("cfast_").unwrap();
        assert_eq!(random.len(), 48);
        assert!(random.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_ne!(ClientSecret::generate(&mut rng).expose(), text);

        assert_eq!(format!("{secret:?}"), "ClientSecret(REDACTED)");
        assert!(SecretHash::of(text) == secret.hash());
        assert!(SecretHash::of("something else") != secret.hash());
    }
}
