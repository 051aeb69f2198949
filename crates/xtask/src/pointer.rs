//! JSON pointers (RFC 6901).

/// Returns the parts of a pointer, unescaped, without a leading `#`.
pub fn tokens(pointer: &str) -> impl Iterator<Item = String> {
    let pointer = pointer.strip_prefix('#').unwrap_or(pointer);
    let mut tokens = pointer.split('/');
    tokens.next();
    tokens.map(unescaped)
}

/// Returns the pointer to a child of the value that a pointer names.
pub fn join(pointer: &str, token: &str) -> String {
    format!("{pointer}/{}", token.replace('~', "~0").replace('/', "~1"))
}

/// Returns the pointer to the parent, and the last token; `None` for the whole document.
pub fn split(pointer: &str) -> Option<(&str, String)> {
    let (parent, token) = pointer.rsplit_once('/')?;
    Some((parent, unescaped(token)))
}

fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}
