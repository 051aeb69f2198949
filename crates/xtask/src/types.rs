//! Shows the effect of a changed document on the public types of the generated code.

use anyhow::{Result, anyhow};
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;
use serde_json::Value;
use syn::{Fields, FnArg, ImplItem, Item, ReturnType, Visibility};

use crate::build::{self, METHODS};
use crate::document::Document;
use crate::drift::{self, Allowed};
use crate::openapi_3_0;
use crate::route::operations;
use crate::trial::complete;
use crate::workspace;

/// Returns the code that would be generated if the fragment followed a document, or the
/// reason why the generator refuses it. The document may also be a changed fragment.
///
/// # Errors
///
/// The documents can't be compared.
pub fn generated(
    fragment: &Document,
    document: &Document,
    allowed: &[Allowed],
) -> Result<Result<String, String>> {
    let text = if is_fragment(document)? {
        document.value()?
    } else {
        let ours = fragment.value()?;
        let mut followed = ours.clone();
        drift::drift(fragment, document, allowed)?.follow(&mut followed);
        openapi_3_0::rewrite(&mut followed);
        complete(&operations(&ours), &mut followed);
        followed
    };
    let rust = build::panics::unprinted(|| build::rust_from_openapi(&text.to_string()));
    Ok(rust.map_err(|error| error.to_string()))
}

/// Returns the public types and methods that would be added (`+`) and removed (`-`) if the
/// fragment followed a document, one a line, or the reason why the generator refuses it.
///
/// # Errors
///
/// The documents can't be compared, or the fragment itself doesn't generate.
pub fn diff(
    fragment: &Document,
    document: &Document,
    allowed: &[Allowed],
) -> Result<Result<String, String>> {
    let old = build::rust_from_openapi(&fragment.value()?.to_string())
        .map_err(|error| anyhow!("{}: {error}", workspace::FRAGMENT))?;
    let new = match generated(fragment, document, allowed)? {
        Ok(new) => new,
        Err(cause) => return Ok(Err(cause)),
    };
    let (old, new) = (public_items(&old)?, public_items(&new)?);
    let gone = old.iter().filter(|item| !new.contains(item));
    let come = new.iter().filter(|item| !old.contains(item));
    let mut lines: Vec<_> = gone
        .map(|item| (head(item), '-', item))
        .chain(come.map(|item| (head(item), '+', item)))
        .collect();
    // The old form of an item comes before the new one.
    lines.sort_by_key(|(head, sign, item)| (*head, *sign == '+', *item));
    let lines = lines.iter();
    Ok(Ok(lines
        .map(|(_, sign, item)| format!("{sign} {item}\n"))
        .collect()))
}

/// Returns an item without its type, which identifies it if the type changes.
fn head(item: &str) -> &str {
    let name = item.split('(').next().unwrap_or(item);
    name.rsplit_once(": ").map_or(name, |(name, _)| name)
}

/// Returns whether each operation has the extensions of a fragment.
fn is_fragment(document: &Document) -> Result<bool> {
    let outline = document.outline()?;
    let mut operations = 0;
    for (_, item) in outline.paths() {
        let item: Value = serde_json::from_str(item.get())?;
        for operation in METHODS.iter().filter_map(|method| item.get(*method)) {
            if operation.get("x-idempotent").is_none() {
                return Ok(false);
            }
            operations += 1;
        }
    }
    Ok(operations > 0)
}

/// Returns the public items of generated code, one a line: types with their fields, variants
/// and contents, and the methods of the operations.
fn public_items(rust: &str) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    collect(&syn::parse_file(rust)?.items, &mut lines);
    Ok(lines)
}

fn collect(items: &[Item], lines: &mut Vec<String>) {
    for item in items {
        match item {
            Item::Mod(module) if module.ident == "types" => {
                let items = module.content.iter().flat_map(|(_, items)| items);
                items.for_each(|item| collect(std::slice::from_ref(item), lines));
            }
            Item::Struct(item) if is_public(&item.vis) => {
                let name = &item.ident;
                match &item.fields {
                    Fields::Unnamed(contents) => {
                        let contents = contents.unnamed.iter().map(|one| short(&one.ty));
                        let contents = contents.collect::<Vec<_>>().join(", ");
                        lines.push(format!("struct {name}({contents})"));
                    }
                    fields => {
                        lines.push(format!("struct {name}"));
                        let public = fields.iter().filter(|field| is_public(&field.vis));
                        lines.extend(public.filter_map(|field| {
                            let (field, of) = (field.ident.as_ref()?, short(&field.ty));
                            Some(format!("struct {name}: {field}: {of}"))
                        }));
                    }
                }
            }
            Item::Enum(item) if is_public(&item.vis) => {
                let name = &item.ident;
                lines.push(format!("enum {name}"));
                let variants = item.variants.iter();
                lines.extend(variants.map(|variant| {
                    let contents = variant.fields.to_token_stream();
                    format!("enum {name}: {}{}", variant.ident, short(contents))
                }));
            }
            Item::Type(item) if is_public(&item.vis) => {
                lines.push(format!("type {} = {}", item.ident, short(&item.ty)));
            }
            Item::Impl(block) if block.trait_.is_none() && short(&block.self_ty) == "Requests" => {
                lines.extend(block.items.iter().filter_map(method));
            }
            _ => {}
        }
    }
}

fn method(item: &ImplItem) -> Option<String> {
    let ImplItem::Fn(method) = item else {
        return None;
    };
    if !is_public(&method.vis) {
        return None;
    }
    let arguments = method
        .sig
        .inputs
        .iter()
        .filter_map(|argument| match argument {
            FnArg::Receiver(_) => None,
            FnArg::Typed(argument) => Some(format!(
                "{}: {}",
                argument.pat.to_token_stream(),
                short(&argument.ty)
            )),
        });
    let arguments = arguments.collect::<Vec<_>>().join(", ");
    let result = match &method.sig.output {
        ReturnType::Default => String::new(),
        ReturnType::Type(_, result) => format!(" -> {}", short(result)),
    };
    Some(format!("fn {}({arguments}){result}", method.sig.ident))
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Returns Rust code with the last part of each path only.
fn short(tokens: impl quote::ToTokens) -> String {
    let mut text = String::new();
    write(tokens.to_token_stream(), &mut text);
    // A type that spans several lines has a trailing comma.
    text.replace(", >", ">").replace(", )", ")")
}

fn write(tokens: TokenStream, text: &mut String) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is_colon = |at: usize| {
        let token = tokens.get(at);
        matches!(token, Some(TokenTree::Punct(one)) if one.as_char() == ':')
    };
    let is_path = |at: usize| is_colon(at) && is_colon(at + 1);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match token {
            TokenTree::Punct(_) if is_path(at) => at += 1,
            TokenTree::Ident(_) if is_path(at + 1) => at += 2,
            TokenTree::Group(group) => {
                let mut inside = String::new();
                write(group.stream(), &mut inside);
                let (open, close) = match group.delimiter() {
                    proc_macro2::Delimiter::Parenthesis => ("(", ")"),
                    proc_macro2::Delimiter::Brace => (" { ", " }"),
                    proc_macro2::Delimiter::Bracket => ("[", "]"),
                    proc_macro2::Delimiter::None => ("", ""),
                };
                text.push_str(&format!("{open}{inside}{close}"));
            }
            TokenTree::Punct(one) if ",:".contains(one.as_char()) => {
                text.push(one.as_char());
                text.push(' ');
            }
            token => {
                let is_word = text.ends_with(|last: char| last.is_alphanumeric() || last == '_');
                if is_word && !matches!(token, TokenTree::Punct(_)) {
                    text.push(' ');
                }
                text.push_str(&token.to_string());
            }
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_line_tells_each_public_item() {
        let rust = "
            pub mod types {
                /// Words.
                #[non_exhaustive]
                pub struct Token {
                    pub id: ::std::option::Option<::std::string::String>,
                }
                struct Hidden { pub field: u8 }
                pub struct Name(::std::string::String);
                pub enum Kind { One, Two(types::Name, ::std::vec::Vec<u8>) }
                pub type Time = ::chrono::DateTime<::chrono::offset::Utc>;
                impl Token { pub fn builder() {} }
            }
            impl crate::call::request::Requests {
                pub fn list<'a>(&'a self, id: &'a crate::Id, page: Option<i64>)
                    -> Result<crate::call::request::Prepared<types::Token>, ::reqwest::Error> {}
                fn hidden(&self) {}
            }
        ";
        assert_eq!(
            public_items(rust).unwrap(),
            [
                "struct Token",
                "struct Token: id: Option<String>",
                "struct Name(String)",
                "enum Kind",
                "enum Kind: One",
                "enum Kind: Two(Name, Vec<u8>)",
                "type Time = DateTime<Utc>",
                "fn list(id: &'a Id, page: Option<i64>) -> Result<Prepared<Token>, Error>",
            ]
        );
    }
}
