//! JSON pointers (RFC 6901).

/// The parts of a pointer, unescaped. A leading `#` is no part of it.
pub fn tokens(pointer: &str) -> impl Iterator<Item = String> {
    let pointer = pointer.strip_prefix('#').unwrap_or(pointer);
    let mut tokens = pointer.split('/');
    tokens.next();
    tokens.map(unescaped)
}

/// The pointer to a child of what another points to.
pub fn join(pointer: &str, token: &str) -> String {
    format!("{pointer}/{}", token.replace('~', "~0").replace('/', "~1"))
}

/// The pointer to the parent of what a pointer points to, and the token that leads from
/// there to it; none for the whole document.
pub fn split(pointer: &str) -> Option<(&str, String)> {
    let (parent, token) = pointer.rsplit_once('/')?;
    Some((parent, unescaped(token)))
}

fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}
