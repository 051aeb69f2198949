//! The programs in docs/, compiled as documentation tests, and run if they need no
//! credentials.

#[doc = include_str!("../docs/authentication.md")]
mod authentication {}
#[doc = include_str!("../docs/coming-from.md")]
mod coming_from {}
#[doc = include_str!("../docs/errors.md")]
mod errors {}
#[doc = include_str!("../docs/getting-started.md")]
mod getting_started {}
#[doc = include_str!("../docs/reliability.md")]
mod reliability {}
#[doc = include_str!("../docs/renewing.md")]
mod renewing {}
#[doc = include_str!("../docs/rotating.md")]
mod rotating {}
#[doc = include_str!("../docs/testing.md")]
mod testing {}
#[doc = include_str!("../docs/usage.md")]
mod usage {}
