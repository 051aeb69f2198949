//! JSON schemas of the durations, for OpenAPI documents.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::go::GoDuration;
use super::token::TokenDuration;

impl JsonSchema for GoDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "GoDuration".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::GoDuration").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "go-duration",
            "description": "A length of time in the grammar of Go's time.ParseDuration: \
                an optional sign and decimal numbers, each with a unit of h, m, s, ms, us or ns. \
                There is no unit for days or years.",
            "example": "2h45m",
        })
    }
}

impl JsonSchema for TokenDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TokenDuration".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::TokenDuration").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "go-duration",
            "description": "How long a token is valid: decimal numbers, each with one of the units \
                h, m, s, ms, us and ns, in the grammar of Go's time.ParseDuration, so that 60m and \
                1h are equal. There is no unit for days or years: a year is 8760h, which is \
                also the default. The word forever means that the token never expires.",
            "default": "8760h",
            "example": "60m",
        })
    }
}
