//! The steps of the build script, for valid and invalid fragments, and the script
//! itself, as cargo runs it.

#[path = "../../build.rs"]
#[allow(
    clippy::print_stdout,
    reason = "a build script prints its instructions to cargo"
)]
mod script;

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use script::build;
use serde_json::{Value, json};

const FRAGMENT: &str = include_str!("../../openapi/service-tokens.json");
const REFRESH: &str = "/accounts/{account_id}/access/service_tokens/{service_token_id}/refresh";

/// Builds the changed fragment, and returns the code or the error.
fn after(change: impl FnOnce(&mut Value)) -> Result<String, String> {
    let mut document: Value = serde_json::from_str(FRAGMENT).unwrap();
    change(&mut document);
    build::rust_from_openapi(&document.to_string()).map_err(|error| error.to_string())
}

/// Builds a fragment that must be refused, and returns the error.
fn refusal(change: impl FnOnce(&mut Value)) -> String {
    after(change).unwrap_err()
}

#[test]
fn the_build_compiles_the_code_of_the_fragment() {
    assert_eq!(
        build::rust_from_openapi(FRAGMENT).unwrap(),
        include_str!(concat!(env!("OUT_DIR"), "/generated.rs"))
    );
}

#[test]
fn a_renamed_field_is_renamed_in_the_code() {
    let code = after(|document| {
        let fields = &mut document["components"]["schemas"]["ServiceToken"]["properties"];
        let field = fields.as_object_mut().unwrap().remove("last_seen_at");
        fields["seen_at"] = field.unwrap();
    });
    let code = code.unwrap();
    assert!(code.contains("pub seen_at: ::std::option::Option<"));
    assert!(!code.contains("pub last_seen_at: "));
}

#[test]
fn idempotency_is_read_from_the_fragment() {
    assert!(after(|_| ()).unwrap().contains("idempotent: true"));
    let code = after(|document| document["paths"][REFRESH]["post"]["x-idempotent"] = json!(false));
    assert!(code.unwrap().contains("idempotent: false"));
}

#[test]
fn a_permission_is_read_from_the_fragment() {
    let code = after(|document| document["paths"][REFRESH]["post"]["x-permission"] = json!("P"));
    assert!(code.unwrap().contains(r#"permission: Some("P")"#));
    let words = refusal(|document| document["paths"][REFRESH]["post"]["x-permission"] = json!(7));
    assert!(
        words.ends_with("`x-permission` is 7; it should be the name of a permission"),
        "{words}"
    );
}

#[test]
fn text_that_is_not_json() {
    let error = build::rust_from_openapi("{\n  \"openapi\": \"3.0.3\",\n  oops\n}")
        .err()
        .unwrap();
    insta::assert_snapshot!(error, @"at line 3, column 3: not JSON: key must be a string");
}

#[test]
fn json_that_is_not_openapi() {
    insta::assert_snapshot!(refusal(|document| *document = json!({ "swagger": "2.0" })), @r#"at openapi: the field is missing, so this is not OpenAPI; it should be "3.0.3""#);
    insta::assert_snapshot!(refusal(|document| *document = json!([])), @r#"at openapi: the field is missing, so this is not OpenAPI; it should be "3.0.3""#);
    insta::assert_snapshot!(refusal(|document| document["openapi"] = json!("3.1.0")), @r#"at openapi: the version is "3.1.0", and only OpenAPI 3.0 can be read"#);
    insta::assert_snapshot!(refusal(|document| document["openapi"] = json!(3)), @"at openapi: the version is 3, and only OpenAPI 3.0 can be read");
    insta::assert_snapshot!(refusal(|document| document["paths"] = json!([])), @"at paths: an object is expected here");
    insta::assert_snapshot!(refusal(|document| document["info"] = json!("title")), @r#"at info: not OpenAPI 3.0: invalid type: string "title", expected struct Info"#);
    insta::assert_snapshot!(
        refusal(|document| document["components"]["schemas"]["ApiMessage"]["type"] = json!("strange")),
        @"at components.schemas.ApiMessage: progenitor panicked: not yet implemented: invalid type: strange"
    );
}

#[test]
fn an_extension_has_another_type() {
    let error = refusal(|document| {
        document["paths"][REFRESH]["post"]["x-idempotent"] = json!("maybe");
    });
    insta::assert_snapshot!(error, @r#"at paths./accounts/{account_id}/access/service_tokens/{service_token_id}/refresh.post: `x-idempotent` is "maybe"; it should be a boolean: may the call be sent twice?"#);
}

#[test]
fn an_operation_lacks_a_required_field() {
    for field in ["operationId", "x-cloudflare-operation-id", "x-idempotent"] {
        let error = refusal(|document| {
            document["paths"][REFRESH]["post"]
                .as_object_mut()
                .unwrap()
                .remove(field);
        });
        assert!(error.contains(&format!("`{field}`")), "{error}");
        if field == "operationId" {
            insta::assert_snapshot!(error, @"at paths./accounts/{account_id}/access/service_tokens/{service_token_id}/refresh.post: the operation lacks `operationId`, a string that names the generated method");
        }
    }
}

#[test]
fn a_header_parameter() {
    let error = refusal(|document| {
        let operation = &mut document["paths"][REFRESH]["post"];
        let parameters = operation["parameters"].as_array_mut().unwrap();
        parameters.push(json!({"name": "x-trace", "in": "header", "schema": {"type": "string"}}));
    });
    insta::assert_snapshot!(error, @"at the generated method refresh_account_service_token: its request has more than a path, a query and a body");
}

#[test]
fn a_duplicate_operation_id() {
    let error = refusal(|document| {
        let refresh = document["paths"][REFRESH].clone();
        document["paths"]["/again/{account_id}/{service_token_id}"] = refresh;
    });
    insta::assert_snapshot!(error, @"at paths./again/{account_id}/{service_token_id}.post: the operationId `refresh_account_service_token` is taken by POST /accounts/{account_id}/access/service_tokens/{service_token_id}/refresh");
}

#[test]
fn an_operation_id_that_is_not_a_rust_name() {
    let said = [
        "access-service-tokens-refresh-a-service-token",
        "refresh token",
        "2_refresh",
        "Refresh",
        "réfresh",
        "type",
        "_",
        "",
    ]
    .map(|id| refusal(|document| document["paths"][REFRESH]["post"]["operationId"] = json!(id)));
    insta::assert_snapshot!(said.join("\n").replace(REFRESH, "REFRESH"), @"
    at paths.REFRESH.post: the operationId `access-service-tokens-refresh-a-service-token` can't name a method; write it as `refresh_account_service_token`, and Cloudflare's own id as `x-cloudflare-operation-id`
    at paths.REFRESH.post: the operationId `refresh token` can't name a method; write it as `refresh_account_service_token`, and Cloudflare's own id as `x-cloudflare-operation-id`
    at paths.REFRESH.post: the operationId `2_refresh` can't name a method; write it as `refresh_account_service_token`, and Cloudflare's own id as `x-cloudflare-operation-id`
    at paths.REFRESH.post: the operationId `Refresh` can't name a method; write it as `refresh_account_service_token`, and Cloudflare's own id as `x-cloudflare-operation-id`
    at paths.REFRESH.post: the operationId `réfresh` can't name a method; write it as `refresh_account_service_token`, and Cloudflare's own id as `x-cloudflare-operation-id`
    at paths.REFRESH.post: the operationId `type` can't name a method; write it as `refresh_account_service_token`, and Cloudflare's own id as `x-cloudflare-operation-id`
    at paths.REFRESH.post: the operationId `_` can't name a method; write it as `refresh_account_service_token`, and Cloudflare's own id as `x-cloudflare-operation-id`
    at paths.REFRESH.post: the operationId `` can't name a method; write it as `refresh_account_service_token`, and Cloudflare's own id as `x-cloudflare-operation-id`
    ");
}

#[test]
fn a_document_that_progenitor_refuses() {
    let cookie = refusal(|document| {
        document["components"]["parameters"]["account_id"] =
            json!({ "name": "account_id", "in": "cookie", "schema": { "type": "string" } });
    });
    insta::assert_snapshot!(cookie, @"at paths./accounts/{account_id}/access/apps.get: progenitor refused it: unexpected or unhandled format in the OpenAPI document cookie parameters are not supported Cookie");
}

#[test]
fn a_document_on_which_progenitor_panics() {
    let missing_parameter = refusal(|document| {
        document["components"]["parameters"]
            .as_object_mut()
            .unwrap()
            .remove("account_id");
    });
    insta::assert_snapshot!(missing_parameter, @"at paths./accounts/{account_id}/access/apps.get: progenitor panicked: key account_id is missing");

    let missing_schema = refusal(|document| {
        document["components"]["schemas"]
            .as_object_mut()
            .unwrap()
            .remove("ServiceTokenName");
    });
    insta::assert_snapshot!(missing_schema, @"at components.schemas.CreateServiceTokenRequest: progenitor panicked: $ref #/components/schemas/ServiceTokenName is missing");
}

#[test]
fn descriptions_cause_no_doctests_or_warnings() {
    let code = after(|document| {
        document["components"]["schemas"]["ServiceToken"]["description"] = json!(
            "See https://example.com/a. And (not https://example.com/b):\n\n    an indented line\n\n```json\n{ \"a\": 1 }\n```\n\n```\nlet open = 1;"
        );
    });
    let code = code.unwrap();
    let doc = code.split("pub struct ServiceToken {").next().unwrap();
    let start = doc.rfind("See <").unwrap();
    insta::assert_snapshot!(doc[start..].split("*/").next().unwrap(), @r#"
    See <https://example.com/a>. And (not <https://example.com/b>):

    an indented line

    ```text
    { "a": 1 }
    ```

    ```text
    let open = 1;
    ```
    "#);
}

/// Set in the child process that runs as the build script.
const IS_BUILD_SCRIPT: &str = "CF_SERVICE_TOKENS_TEST_BUILD_SCRIPT";

/// The child that `run_build_script` starts.
#[test]
fn child() {
    if env::var_os(IS_BUILD_SCRIPT).is_some() {
        script::main();
    }
}

/// Runs the build script in a package with this fragment. Returns its output, without
/// the lines for every build, and whether it wrote code.
fn run_build_script(package: &Path, fragment: Option<&str>) -> (String, bool) {
    let file = package.join("openapi/service-tokens.json");
    let generated = package.join("generated.rs");
    fs::create_dir_all(package.join("openapi")).unwrap();
    let _ = fs::remove_file(&file);
    let _ = fs::remove_file(&generated);
    if let Some(fragment) = fragment {
        fs::write(&file, fragment).unwrap();
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "build_script::child", "--nocapture"])
        .current_dir(package)
        .env(IS_BUILD_SCRIPT, "yes")
        .env("OUT_DIR", package)
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "the script leaves the failure to cargo"
    );
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let told: Vec<&str> = said
        .lines()
        .filter(|line| !line.starts_with("cargo::rerun-if-changed="))
        .filter(|line| {
            !line.is_empty() && !line.starts_with("running ") && !line.starts_with("test ")
        })
        .collect();
    (told.join("\n"), generated.exists())
}

#[test]
fn the_script_reports_an_error_to_cargo_in_one_line() {
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("build_script");
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut document: Value = serde_json::from_str(FRAGMENT).unwrap();
        change(&mut document);
        document.to_string()
    };
    let without_id = broken(&|document| {
        let refresh = document["paths"][REFRESH]["post"].as_object_mut().unwrap();
        refresh.remove("operationId");
    });
    let hyphenated = broken(&|document| {
        document["paths"][REFRESH]["post"]["operationId"] = json!("refresh-a-token");
    });
    let refused = broken(&|document| {
        document["components"]["schemas"]["ApiMessage"]["type"] = json!("strange");
    });
    let mut told = String::new();
    for (what, fragment) in [
        ("missing", None),
        ("not JSON", Some("{")),
        ("not OpenAPI 3.0", Some(r#"{"openapi":"3.1.0"}"#)),
        ("no operation id", Some(without_id.as_str())),
        ("an id that names no method", Some(hyphenated.as_str())),
        ("progenitor panics", Some(refused.as_str())),
    ] {
        let (said, has_code) = run_build_script(&package, fragment);
        assert!(
            said.starts_with("cargo::error=openapi/service-tokens.json: "),
            "{what}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{what}: {said}");
        assert!(!has_code, "{what}");
        told += &format!("{what}: {said}\n");
    }
    insta::assert_snapshot!(told, @r#"
    missing: cargo::error=openapi/service-tokens.json: can't be read: No such file or directory (os error 2)
    not JSON: cargo::error=openapi/service-tokens.json: at line 1, column 1: not JSON: EOF while parsing an object
    not OpenAPI 3.0: cargo::error=openapi/service-tokens.json: at openapi: the version is "3.1.0", and only OpenAPI 3.0 can be read
    no operation id: cargo::error=openapi/service-tokens.json: at paths./accounts/{account_id}/access/service_tokens/{service_token_id}/refresh.post: the operation lacks `operationId`, a string that names the generated method
    an id that names no method: cargo::error=openapi/service-tokens.json: at paths./accounts/{account_id}/access/service_tokens/{service_token_id}/refresh.post: the operationId `refresh-a-token` can't name a method; write it as `refresh_account_service_token`, and Cloudflare's own id as `x-cloudflare-operation-id`
    progenitor panics: cargo::error=openapi/service-tokens.json: at components.schemas.ApiMessage: progenitor panicked: not yet implemented: invalid type: strange
    "#);

    let (said, has_code) = run_build_script(&package, Some(FRAGMENT));
    assert_eq!(said, "");
    assert!(has_code);
}
