/// Whether a call takes effect that meets a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The client is told that nothing was done, so nothing is.
    Never,
    /// A client may well read a success, so it must be one.
    Always,
    /// The client can't know.
    Either,
}
