//! New secrets: how `create` and `rotate` make one and store it safely.

pub(crate) mod deliver;
pub(crate) mod file;
pub(crate) mod journal;
pub(crate) mod recover;
pub(crate) mod sink;
