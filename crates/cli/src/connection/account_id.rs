//! The form of an account's id. The SDK leaves it open, since another server, such as the
//! simulator, may have other ids than Cloudflare.

use std::env;

use cf_service_tokens::AccountId;
use reqwest::Url;

use crate::failure::Failure;

/// What to do about an id that does not have this form.
pub(crate) const NEXT: &str = "copy the account's id from the dashboard, which shows it on the \
                               account's overview page: 32 digits and letters from a to f";

/// Returns why a text can't be the id of an account of the API that the environment names.
pub(crate) fn fault(id: &str) -> Option<String> {
    if AccountId::new(id).is_err() {
        return Some("not the id of an account".to_owned());
    }
    if !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let fault = "an account id has only digits and letters from a to f";
        return is_cloudflare().then(|| fault.to_owned());
    }
    let fault = format!(
        "an account id has 32 characters, but this one has {}",
        id.len()
    );
    (id.len() != AccountId::MAX_LEN && is_cloudflare()).then_some(fault)
}

/// Refuses an id that no account of the API can have. One that the SDK refuses too is left to the
/// SDK, which says why.
pub(super) fn require(source: &str, id: &str) -> Result<(), Failure> {
    match AccountId::new(id).ok().and_then(|_| fault(id)) {
        None => Ok(()),
        Some(fault) => Err(Failure::usage(format!("{source} {id:?}: {fault}")).next(NEXT)),
    }
}

/// Whether calls go to Cloudflare.
fn is_cloudflare() -> bool {
    let url = env::var("CLOUDFLARE_BASE_URL").unwrap_or_default();
    let host = Url::parse(&url).ok();
    let host = host.as_ref().and_then(Url::host_str);
    url.is_empty() || host == Some("api.cloudflare.com")
}
