//! JSON pointers (RFC 6901).

/// The parts of a pointer, unescaped. A leading `#` is no part of it.
pub fn tokens(pointer: &str) -> impl Iterator<Item = String> {
    let pointer = pointer.strip_prefix('#').unwrap_or(pointer);
    let mut tokens = pointer.split('/');
    tokens.next();
    tokens.map(|token| token.replace("~1", "/").replace("~0", "~"))
}

/// The pointer to a child of what another points to.
pub fn join(pointer: &str, token: &str) -> String {
    format!("{pointer}/{}", token.replace('~', "~0").replace('/', "~1"))
}
