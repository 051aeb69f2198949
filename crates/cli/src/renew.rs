//! `renew`: renews the due tokens, once or whenever one falls due.

pub(crate) mod once;
mod record;
pub(crate) mod watch;
