//! The third step: generates Rust with progenitor.

use openapiv3::OpenAPI;
use progenitor::{GenerationSettings, Generator, InterfaceStyle, TypeImpl, TypePatch};
use quote::{format_ident, quote};
use schemars08::schema::{InstanceType, SchemaObject};
use serde_json::{Value, json};
use syn::{Expr, GenericArgument, ImplItem, ImplItemFn, PathArguments, Stmt, Type, parse_quote};

use super::panics::caught;
use super::read::{Fragment, FragmentError, OperationFacts};

/// Generates the types, the methods that make requests, and the table of operations, formatted.
pub fn rust(fragment: &Fragment) -> Result<String, FragmentError> {
    let openapi = openapi(&fragment.document)?;
    let code = progenitor(&openapi)
        .map_err(|cause| FragmentError::new(place_of_fault(fragment), cause))?;
    let invalid = |error: syn::Error| FragmentError::new("the generated code", error.to_string());
    let client = syn::parse2(code).map_err(invalid)?;
    let (types, methods) = types_and_methods(client);
    let methods = methods.into_iter().map(|method| {
        let place = format!("the generated method {}", method.sig.ident);
        making_a_request(method).ok_or_else(|| {
            let cause = "its request has more than a path, a query and a body";
            FragmentError::new(place, cause)
        })
    });
    let methods = methods.collect::<Result<Vec<_>, _>>()?;
    let operations = fragment.operations.iter().map(operation);
    let mut file: syn::File = syn::parse2(quote! {
        use crate::call::request::encode_path;

        #types

        impl crate::call::request::Requests {
            #(#methods)*
        }

        /// The facts about each operation.
        pub mod operations {
            use crate::call::operation::Operation;
            #(#operations)*
        }
    })
    .map_err(invalid)?;
    leave_structs_open(&mut file.items);
    Ok(prettyplease::unparse(&file))
}

/// Returns the module of the types and the methods of the operations. The rest of progenitor's
/// client sends requests and reads answers, which the facade does.
fn types_and_methods(client: syn::File) -> (Option<syn::ItemMod>, Vec<ImplItemFn>) {
    let (mut types, mut methods) = (None, Vec::new());
    for item in client.items {
        match item {
            syn::Item::Mod(module) if module.ident == "types" => types = Some(module),
            syn::Item::Impl(item) if item.trait_.is_none() => {
                methods.extend(item.items.into_iter().filter_map(|item| match item {
                    ImplItem::Fn(method) if method.sig.asyncness.is_some() => Some(method),
                    _ => None,
                }));
            }
            _ => {}
        }
    }
    (types, methods)
}

/// Turns a method that makes a call into one that only makes its request, and whose type has
/// that of the answer.
fn making_a_request(mut method: ImplItemFn) -> Option<ImplItemFn> {
    let syn::ReturnType::Type(_, result) = &method.sig.output else {
        return None;
    };
    // Result<ResponseValue<answer>, Error<_>>
    let answer = first_argument(first_argument(result)?)?;
    // A header parameter would add statements.
    let [url, _header_map, _append, Stmt::Local(request), ..] = &mut method.block.stmts[..] else {
        return None;
    };
    let request = &mut request.init.as_mut()?.expr;
    simplify(request);
    let block = parse_quote!({
        #url
        let request = #request;
        Ok(crate::call::request::Prepared::new(request))
    });
    method.sig.output =
        parse_quote!(-> Result<crate::call::request::Prepared<#answer>, ::reqwest::Error>);
    method.sig.asyncness = None;
    method.block = block;
    Some(method)
}

/// Returns the first generic argument of a type.
fn first_argument(of: &Type) -> Option<&Type> {
    let Type::Path(path) = of else {
        return None;
    };
    match &path.path.segments.last()?.arguments {
        PathArguments::AngleBracketed(arguments) => match arguments.args.first()? {
            GenericArgument::Type(argument) => Some(argument),
            _ => None,
        },
        _ => None,
    }
}

/// Removes the call `.headers(header_map)` from a chain. The map has one header, the version
/// of the document, which is not part of Cloudflare's API. A parameter of the query becomes a
/// pair, which reqwest leaves out if its value is `None`, as progenitor's own type does.
fn simplify(chain: &mut Expr) {
    match chain {
        Expr::Try(result) => simplify(&mut result.expr),
        Expr::MethodCall(call) if call.method == "headers" => {
            *chain = (*call.receiver).clone();
            simplify(chain);
        }
        Expr::MethodCall(call) => {
            simplify(&mut call.receiver);
            // query(&QueryParam::new(name, value))
            if call.method == "query"
                && let Some(Expr::Reference(parameter)) = call.args.first_mut()
                && let Expr::Call(new) = &*parameter.expr
            {
                let name_and_value = &new.args;
                *parameter.expr = parse_quote!([(#name_and_value)]);
            }
        }
        _ => {}
    }
}

/// Marks every struct `non_exhaustive`, so that a new field of the API is no breaking
/// change.
fn leave_structs_open(items: &mut [syn::Item]) {
    for item in items {
        match item {
            syn::Item::Struct(item) => item.attrs.push(syn::parse_quote!(#[non_exhaustive])),
            syn::Item::Mod(syn::ItemMod {
                content: Some((_, items)),
                ..
            }) => leave_structs_open(items),
            _ => {}
        }
    }
}

fn operation(facts: &OperationFacts) -> proc_macro2::TokenStream {
    let name = format_ident!("{}", facts.id.to_uppercase());
    let verb = format_ident!("{}", facts.method);
    let OperationFacts {
        id,
        cloudflare_id,
        method,
        path,
        idempotent,
        permission,
    } = facts;
    let permission = match permission {
        Some(permission) => quote!(Some(#permission)),
        None => quote!(None),
    };
    let doc = format!("`{method} {path}`, which Cloudflare calls `{cloudflare_id}`.");
    quote! {
        #[doc = #doc]
        pub const #name: Operation = Operation {
            id: #id,
            method: ::http::Method::#verb,
            path: #path,
            idempotent: #idempotent,
            permission: #permission,
        };
    }
}

fn openapi(document: &Value) -> Result<OpenAPI, FragmentError> {
    serde_path_to_error::deserialize(document).map_err(|error| {
        FragmentError::new(
            error.path().to_string(),
            format!("not OpenAPI 3.0: {}", error.inner()),
        )
    })
}

fn progenitor(openapi: &OpenAPI) -> Result<proc_macro2::TokenStream, String> {
    // progenitor panics on some documents instead of returning an error.
    let generated = caught(|| Generator::new(&settings()).generate_tokens(openapi));
    let (verb, words) = match generated {
        Ok(Ok(tokens)) => return Ok(tokens),
        Ok(Err(error)) => ("refused it", error.to_string()),
        Err(words) => ("panicked", words),
    };
    // The lines after the first dump progenitor's own structures.
    let first_line = words.lines().next().unwrap_or("no reason given");
    Err(format!(
        "progenitor {verb}: {}",
        first_line.trim_end_matches(" {")
    ))
}

fn settings() -> GenerationSettings {
    let go_duration = SchemaObject {
        instance_type: Some(InstanceType::String.into()),
        format: Some("go-duration".to_owned()),
        ..SchemaObject::default()
    };
    let mut settings = GenerationSettings::new();
    settings
        .with_interface(InterfaceStyle::Positional)
        .with_conversion(
            go_duration,
            "crate::duration::TokenDuration",
            [TypeImpl::Display, TypeImpl::FromStr].into_iter(),
        );
    for id in ["AccountId", "ServiceTokenId"] {
        let impls = [TypeImpl::Display, TypeImpl::FromStr].into_iter();
        settings.with_replacement(id, format!("crate::tokens::id::{id}"), impls);
    }
    // An entry of the envelopes' lists has an undocumented field. A type that holds a secret is
    // written by hand, so that nothing prints it. The public enums are, because the generator's
    // have a private error type. Policies, groups and apps are read for the rules that name a
    // token alone.
    for (schema, handwritten) in [
        ("ApiMessage", "crate::answer::message::ApiMessage"),
        (
            "ApiMessageSource",
            "crate::answer::message::ApiMessageSource",
        ),
        (
            "IssuedServiceToken",
            "crate::tokens::issued::IssuedServiceToken",
        ),
        (
            "InactivityAction",
            "crate::account::organization::InactivityAction",
        ),
        (
            "ApiTokenStatus",
            "crate::account::api_token::ApiTokenStatus",
        ),
        ("AccessPolicy", "crate::account::listings::Policy"),
        ("AccessGroup", "crate::account::listings::Group"),
        ("AccessApp", "crate::account::listings::App"),
        ("AccessRule", "crate::account::listings::Rule"),
        (
            "ScimAuthentication",
            "crate::account::listings::ScimAuthentication",
        ),
        ("FailureEnvelope", "crate::answer::envelope::Failure"),
    ] {
        settings.with_replacement(schema, handwritten, [].into_iter());
    }
    // The envelopes are one generic type, which reads responses leniently.
    for (schema, result) in [
        (
            "ServiceTokenEnvelope",
            "crate::generated::types::ServiceToken",
        ),
        (
            "ServiceTokenListEnvelope",
            "crate::call::pages::Page<crate::generated::types::ServiceToken>",
        ),
        (
            "IssuedServiceTokenEnvelope",
            "crate::tokens::issued::IssuedServiceToken",
        ),
        (
            "AccountListEnvelope",
            "crate::call::pages::Page<crate::generated::types::AccountInfo>",
        ),
        (
            "OrganizationEnvelope",
            "crate::generated::types::Organization",
        ),
        (
            "AccessPolicyListEnvelope",
            "crate::call::pages::Page<crate::account::listings::Policy>",
        ),
        (
            "AccessGroupListEnvelope",
            "crate::call::pages::Page<crate::account::listings::Group>",
        ),
        (
            "AccessAppListEnvelope",
            "crate::call::pages::Page<crate::account::listings::App>",
        ),
        ("ApiTokenEnvelope", "crate::generated::types::ApiToken"),
    ] {
        let envelope = format!("crate::answer::envelope::Envelope<{result}>");
        settings.with_replacement(schema, envelope, [].into_iter());
    }
    for compared in [
        "AccountInfo",
        "ApiToken",
        "Organization",
        "ResultInfo",
        "ServiceToken",
        "ServiceTokenInactivity",
    ] {
        settings.with_patch(compared, TypePatch::default().with_derive("PartialEq"));
    }
    settings
}

/// Finds the smallest part that progenitor refuses even alone, since its own errors rarely
/// name the part.
fn place_of_fault(fragment: &Fragment) -> String {
    let refused =
        |document: &Value| openapi(document).is_ok_and(|openapi| progenitor(&openapi).is_err());
    let mut without_paths = fragment.document.clone();
    without_paths["paths"] = json!({});
    if refused(&without_paths) {
        let schemas = &fragment.document["components"]["schemas"];
        return schemas
            .as_object()
            .into_iter()
            .flat_map(|schemas| schemas.keys())
            .find(|name| refused(&only_schema(&without_paths, name)))
            .map_or_else(
                || "components".to_owned(),
                |name| format!("components.schemas.{name}"),
            );
    }
    fragment
        .operations
        .iter()
        .find(|operation| {
            let (path, method) = (&operation.path, operation.method.to_lowercase());
            let item = &fragment.document["paths"][path][&method];
            let mut alone = without_paths.clone();
            alone["paths"] = json!({ path: { method: item } });
            refused(&alone)
        })
        .map_or_else(
            || "paths".to_owned(),
            |operation| {
                format!(
                    "paths.{}.{}",
                    operation.path,
                    operation.method.to_lowercase()
                )
            },
        )
}

/// Returns the document with every other schema replaced by one that allows anything.
fn only_schema(document: &Value, name: &str) -> Value {
    let mut document = document.clone();
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        for (other, schema) in schemas {
            if other != name {
                *schema = json!({});
            }
        }
    }
    document
}
