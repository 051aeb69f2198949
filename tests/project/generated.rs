//! The code that the build generates from the fragment, as two snapshots: the public
//! types and the rest.

use syn::{Item, UseTree};

/// The modules of the generated code that hold its types.
const TYPES: &str = "types";

#[test]
fn the_public_types() {
    insta::assert_snapshot!(snapshot(|is_public| is_public));
}

#[test]
fn the_private_code() {
    insta::assert_snapshot!(snapshot(|is_public| !is_public));
}

/// Returns the part of the generated code that `keep` selects by whether it is public.
fn snapshot(keep: impl Fn(bool) -> bool) -> String {
    let public = public_names();
    let generated = include_str!(concat!(env!("OUT_DIR"), "/generated.rs"));
    let mut file = syn::parse_file(generated).unwrap();
    file.items.retain_mut(|item| match item {
        Item::Mod(module) if module.ident == TYPES => {
            let (_, items) = module.content.as_mut().unwrap();
            items.retain(|item| keep(name(item).is_some_and(|name| public.contains(&name))));
            true
        }
        _ => keep(false),
    });
    prettyplease::unparse(&file)
}

/// Returns the name of a type, or of the type that an `impl` is for.
fn name(item: &Item) -> Option<String> {
    match item {
        Item::Struct(item) => Some(item.ident.to_string()),
        Item::Enum(item) => Some(item.ident.to_string()),
        Item::Impl(item) => match &*item.self_ty {
            syn::Type::Path(path) => Some(path.path.segments.last()?.ident.to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the names of the generated types that `src/lib.rs` re-exports.
fn public_names() -> Vec<String> {
    let mut names = Vec::new();
    for item in syn::parse_file(include_str!("../../src/lib.rs"))
        .unwrap()
        .items
    {
        if let Item::Use(item) = item {
            collect(&item.tree, &mut Vec::new(), &mut names);
        }
    }
    assert_ne!(names, [""; 0], "src/lib.rs re-exports generated types");
    names
}

fn collect(tree: &UseTree, path: &mut Vec<String>, names: &mut Vec<String>) {
    match tree {
        UseTree::Path(step) => {
            path.push(step.ident.to_string());
            collect(&step.tree, path, names);
            path.pop();
        }
        UseTree::Group(group) => group
            .items
            .iter()
            .for_each(|tree| collect(tree, path, names)),
        UseTree::Name(name) if path[..] == ["generated", TYPES] => {
            names.push(name.ident.to_string());
        }
        _ => {}
    }
}
