//! The page's style sheet and icon, and the policy that allows nothing else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The style sheet.
pub(super) const STYLE: &str = include_str!("page.css");

/// The icon: three lives of different lengths.
pub(super) const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
%3Crect width='16' height='16' rx='3' fill='%231d5fd1'/%3E\
%3Cpath d='M3 5h5M3 8h10M3 11h7' stroke='%23fff' stroke-width='1.8' stroke-linecap='round'/%3E%3C/svg%3E";

/// The page's Content Security Policy: this style sheet, known by its hash, and the icon.
/// Nothing else is loaded, and no script runs.
pub(super) fn content_security_policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; \
         style-src 'sha256-{hash}'"
    )
}
