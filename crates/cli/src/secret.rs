//! New secrets: how `create` and `rotate` make one and store it safely.
//!
//! 1. Test the sink.
//! 2. Read the token, lock its record, and settle what an interrupted run left in it.
//! 3. Record the intent.
//! 4. Call the API.
//! 5. Record the secret, unless there certainly is none.
//! 6. Deliver the secret to the sink.
//! 7. Verify the secret, and run the hook, if the configuration file says so.
//! 8. Reduce the record to what is known of the token's secrets.
//!
//! A run that is killed in between leaves the secret in the sink or in the record, or a
//! record that names the token.

pub(crate) mod binding;
pub(crate) mod deliver;
pub(crate) mod file;
pub(crate) mod journal;
pub(crate) mod reading;
pub(crate) mod record;
pub(crate) mod recover;
pub(crate) mod rotation;
pub(crate) mod sink;
