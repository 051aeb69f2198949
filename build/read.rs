//! The first step: parses the text, and checks that each operation has the SDK's extensions.

use std::fmt;

use serde_json::{Map, Value};

use super::METHODS;

/// The extension that holds an operation's id in Cloudflare's own document.
const CLOUDFLARE_OPERATION_ID: &str = "x-cloudflare-operation-id";
/// The extension that holds whether an operation may be sent twice.
const IDEMPOTENT: &str = "x-idempotent";
/// The extension that holds the permission that an API token needs for an operation, if it
/// needs one.
const PERMISSION: &str = "x-permission";

/// An OpenAPI 3.0 document, and the facts about its operations.
pub struct Fragment {
    pub document: Value,
    pub operations: Vec<OperationFacts>,
}

/// The facts about an operation that the generated method lacks.
pub struct OperationFacts {
    pub id: String,
    pub cloudflare_id: String,
    pub method: String,
    pub path: String,
    pub idempotent: bool,
    pub permission: Option<String>,
}

/// An error in a document: its place and its cause.
#[derive(Debug)]
pub struct FragmentError {
    place: String,
    cause: String,
}

impl fmt::Display for FragmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", self.place, self.cause)
    }
}

impl FragmentError {
    /// Makes an error of its place and cause.
    pub fn new(place: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            cause: cause.into(),
        }
    }
}

/// Reads a fragment. The checks here have clearer messages than the later steps.
pub fn fragment(text: &str) -> Result<Fragment, FragmentError> {
    let document: Value = serde_json::from_str(text).map_err(|error| {
        let words = error.to_string();
        // serde_json ends its message with the place, which is shown first here.
        let cause = words.split(" at line ").next().unwrap_or(&words);
        FragmentError::new(
            format!("line {}, column {}", error.line(), error.column()),
            format!("not JSON: {cause}"),
        )
    })?;
    check_version(&document)?;
    let operations = operations(&document)?;
    Ok(Fragment {
        document,
        operations,
    })
}

fn check_version(document: &Value) -> Result<(), FragmentError> {
    let cause = match document.get("openapi") {
        Some(Value::String(version)) if version.starts_with("3.0.") => return Ok(()),
        Some(version) => format!("the version is {version}, and only OpenAPI 3.0 can be read"),
        None => "the field is missing, so this is not OpenAPI; it should be \"3.0.3\"".to_owned(),
    };
    Err(FragmentError::new("openapi", cause))
}

fn operations(document: &Value) -> Result<Vec<OperationFacts>, FragmentError> {
    let paths = object(document, "paths", "paths")?;
    let mut operations: Vec<OperationFacts> = Vec::new();
    for path in paths.keys() {
        let item = object(&document["paths"], path, &format!("paths.{path}"))?;
        for method in METHODS.iter().filter(|method| item.contains_key(**method)) {
            let facts = operation(path, method, &item[*method])?;
            if let Some(twin) = operations.iter().find(|other| other.id == facts.id) {
                return Err(FragmentError::new(
                    format!("paths.{path}.{method}"),
                    format!(
                        "the operationId `{}` is taken by {} {}",
                        twin.id, twin.method, twin.path
                    ),
                ));
            }
            operations.push(facts);
        }
    }
    Ok(operations)
}

fn operation(path: &str, method: &str, operation: &Value) -> Result<OperationFacts, FragmentError> {
    let missing = |field: &str, what: &str| {
        FragmentError::new(
            format!("paths.{path}.{method}"),
            match operation.get(field) {
                Some(value) => format!("`{field}` is {value}; it should be {what}"),
                None => format!("the operation lacks `{field}`, {what}"),
            },
        )
    };
    let text = |field: &str, what: &str| {
        let value = operation.get(field).and_then(Value::as_str);
        value
            .map(ToOwned::to_owned)
            .ok_or_else(|| missing(field, what))
    };
    let id = text("operationId", "a string that names the generated method")?;
    if !is_snake_case_identifier(&id) {
        return Err(FragmentError::new(
            format!("paths.{path}.{method}"),
            format!(
                "the operationId `{id}` can't name a method; write it as `refresh_account_service_token`, and Cloudflare's own id as `{CLOUDFLARE_OPERATION_ID}`"
            ),
        ));
    }
    Ok(OperationFacts {
        id,
        cloudflare_id: text(
            CLOUDFLARE_OPERATION_ID,
            "the string that is its id in Cloudflare's own document",
        )?,
        method: method.to_uppercase(),
        path: path.to_owned(),
        idempotent: operation
            .get(IDEMPOTENT)
            .and_then(Value::as_bool)
            .ok_or_else(|| missing(IDEMPOTENT, "a boolean: may the call be sent twice?"))?,
        permission: match operation.get(PERMISSION) {
            Some(_) => Some(text(PERMISSION, "the name of a permission")?),
            None => None,
        },
    })
}

/// Returns whether the text can name a method, in Rust's own style.
fn is_snake_case_identifier(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    // The parser refuses keywords, and names that begin with a digit.
    text.bytes().all(is_part) && syn::parse_str::<syn::Ident>(text).is_ok()
}

fn object<'a>(
    parent: &'a Value,
    key: &str,
    place: &str,
) -> Result<&'a Map<String, Value>, FragmentError> {
    parent
        .get(key)
        .and_then(Value::as_object)
        .ok_or_else(|| FragmentError::new(place, "an object is expected here"))
}
