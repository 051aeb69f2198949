//! The first step: text → a fragment whose operations say what the SDK must know.

use openapiv3::{OpenAPI, Operation, PathItem, ReferenceOr};
use serde_json::Value;

/// The extension that holds the operation's id in Cloudflare's own document.
const CLOUDFLARE_OPERATION_ID: &str = "x-cloudflare-operation-id";
/// The extension that says whether the call may be sent twice.
const IDEMPOTENT: &str = "x-idempotent";

/// An OpenAPI document and what its operations say in `x-` extensions.
pub struct Fragment {
    pub openapi: OpenAPI,
    pub operations: Vec<OperationFacts>,
}

/// What the SDK has to know of an operation beyond its generated method.
pub struct OperationFacts {
    pub id: String,
    pub cloudflare_id: String,
    pub method: String,
    pub path: String,
    pub idempotent: bool,
}

/// Why a fragment can't become Rust: where in it, and what is wrong there.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {cause}")]
pub struct FragmentError {
    place: String,
    cause: String,
}

impl FragmentError {
    pub fn new(place: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            cause: cause.into(),
        }
    }
}

/// Reads a fragment, refusing what the later steps could only trip over.
pub fn read(text: &str) -> Result<Fragment, FragmentError> {
    let document: Value = serde_json::from_str(text).map_err(|error| {
        FragmentError::new(
            format!("line {}, column {}", error.line(), error.column()),
            format!("not JSON: {error}"),
        )
    })?;
    check_version(&document)?;
    let openapi: OpenAPI = serde_path_to_error::deserialize(document).map_err(|error| {
        FragmentError::new(
            error.path().to_string(),
            format!("not OpenAPI 3.0: {}", error.inner()),
        )
    })?;
    let operations = operations(&openapi)?;
    Ok(Fragment {
        openapi,
        operations,
    })
}

fn check_version(document: &Value) -> Result<(), FragmentError> {
    match document.get("openapi") {
        Some(Value::String(version)) if version.starts_with("3.0.") => Ok(()),
        Some(version) => Err(FragmentError::new(
            "openapi",
            format!("the version is {version}, but progenitor reads OpenAPI 3.0 only"),
        )),
        None => Err(FragmentError::new(
            "openapi",
            "the field is missing, so this is no OpenAPI document; it should be \"3.0.3\"",
        )),
    }
}

fn operations(openapi: &OpenAPI) -> Result<Vec<OperationFacts>, FragmentError> {
    let mut facts = Vec::new();
    for (path, item) in &openapi.paths.paths {
        let item = path_item(path, item)?;
        for (method, operation) in item.iter() {
            facts.push(operation_facts(path, method, operation)?);
        }
    }
    Ok(facts)
}

fn path_item<'a>(
    path: &str,
    item: &'a ReferenceOr<PathItem>,
) -> Result<&'a PathItem, FragmentError> {
    item.as_item().ok_or_else(|| {
        FragmentError::new(
            format!("paths.{path}"),
            "a path by reference is not read; write its operations here",
        )
    })
}

fn operation_facts(
    path: &str,
    method: &str,
    operation: &Operation,
) -> Result<OperationFacts, FragmentError> {
    let place = format!("paths.{path}.{method}");
    let missing = |field: &str, what: &str| {
        FragmentError::new(&place, format!("the operation has no `{field}`; {what}"))
    };
    let id = operation
        .operation_id
        .as_deref()
        .ok_or_else(|| missing("operationId", "it names the generated method"))?;
    let cloudflare_id = operation
        .extensions
        .get(CLOUDFLARE_OPERATION_ID)
        .and_then(Value::as_str)
        .ok_or_else(|| {
            missing(
                CLOUDFLARE_OPERATION_ID,
                "it is the operation's id in Cloudflare's own document",
            )
        })?;
    let idempotent = operation
        .extensions
        .get(IDEMPOTENT)
        .and_then(Value::as_bool)
        .ok_or_else(|| {
            missing(
                IDEMPOTENT,
                "it is true or false and says whether the call may be sent twice",
            )
        })?;
    Ok(OperationFacts {
        id: id.to_owned(),
        cloudflare_id: cloudflare_id.to_owned(),
        method: method.to_uppercase(),
        path: path.to_owned(),
        idempotent,
    })
}
