//! Everything around the bodies: operations, parameters, responses, security, servers.

use serde_json::{Value, json};
use xtask::document::Document;
use xtask::drift::drift;

use super::{ROTATE, TOKEN, TOKENS, UPSTREAM, after, between, object, upstream};

#[test]
fn an_operation_is_removed_or_added() {
    let found = after(|document| {
        object(&mut document["paths"]).remove(ROTATE);
    });
    assert_eq!(
        found,
        ["breaking: the operation access-service-tokens-rotate-a-service-token was removed"]
    );
    let found = after(|document| {
        let mut operation = document["paths"][ROTATE]["post"].clone();
        operation["operationId"] = json!("revoke");
        document["paths"][format!("{TOKEN}/revoke")]["post"] = operation;
    });
    assert_eq!(found, ["compatible: the operation revoke was added"]);
}

#[test]
fn a_path_is_moved() {
    for to in [format!("{TOKEN}/secret"), "/keys/{key}/rotate".to_owned()] {
        let found = after(|document| {
            let item = object(&mut document["paths"]).remove(ROTATE).unwrap();
            document["paths"][&to] = item;
            // A parameter must be named as in the path.
            if to.starts_with("/keys") {
                document["paths"][&to]["post"]["parameters"] = json!([
                    { "in": "path", "name": "key", "required": true, "schema": {} },
                ]);
            }
        });
        assert_eq!(
            found,
            [format!("breaking: the operation has moved to post {to}")]
        );
    }
}

#[test]
fn a_parameter_is_added() {
    let with_parameter = |required: bool| {
        after(|document| {
            let parameters = document["paths"][TOKENS]["get"]["parameters"].as_array_mut();
            parameters.unwrap().push(json!({
                "in": "query", "name": "color", "required": required,
                "schema": { "type": "string" },
            }));
        })
    };
    assert_eq!(
        with_parameter(false),
        ["compatible: the parameter 'color' was added, optional"]
    );
    assert_eq!(
        with_parameter(true),
        ["breaking: the parameter 'color' was added, required"]
    );
}

#[test]
fn a_parameter_or_a_body_is_no_longer_there_or_no_longer_optional() {
    let found = after(|document| {
        document["paths"][TOKENS]["get"]["parameters"] = json!([]);
    });
    assert_eq!(found, ["breaking: the parameter 'account_id' was removed"]);
    let body = |required: bool| {
        let mut document = upstream();
        document["paths"][TOKENS]["post"]["requestBody"]["required"] = json!(required);
        document["paths"][TOKENS]["get"]["parameters"][0]["required"] = json!(required);
        document
    };
    assert_eq!(
        between(&body(false), &body(true)),
        [
            "breaking: the parameter 'account_id' is required now",
            "breaking: the request body is required now",
        ]
    );
    assert_eq!(
        between(&body(true), &body(false)),
        [
            "compatible: the parameter 'account_id' is optional now",
            "compatible: the request body is optional now",
        ]
    );
}

#[test]
fn a_response_code_is_changed() {
    let found = after(|document| {
        let responses = object(&mut document["paths"][ROTATE]["post"]["responses"]);
        let response = responses.remove("200").unwrap();
        responses.insert("202".to_owned(), response);
    });
    assert_eq!(
        found,
        [
            "breaking: response: status 202 added",
            "compatible: response: status 200 removed",
        ]
    );
}

#[test]
fn what_is_deprecated_is_told() {
    let deprecated = |pointer: &'static str| {
        let mut document = upstream();
        document.pointer_mut(pointer).unwrap()["deprecated"] = json!(true);
        document
    };
    for (pointer, what) in [
        (
            "/paths/~1accounts~1{account_id}~1access~1service_tokens/get",
            "the operation is",
        ),
        (
            "/paths/~1accounts~1{account_id}~1access~1service_tokens/get/parameters/0",
            "the parameter 'account_id' is",
        ),
        (
            "/components/schemas/access_result_info/properties/count",
            "response:",
        ),
        (
            "/paths/~1accounts~1{account_id}~1access~1service_tokens/post/requestBody\
             /content/application~1json/schema",
            "request:",
        ),
    ] {
        let changed = deprecated(pointer);
        let now = format!("compatible: {what} deprecated now");
        assert_eq!(between(&upstream(), &changed), [now], "{pointer}");
        let no_longer = format!("compatible: {what} no longer deprecated");
        assert_eq!(between(&changed, &upstream()), [no_longer], "{pointer}");
    }
}

#[test]
fn availability_is_said_in_two_ways() {
    let list = |field: &str, value: Value| {
        after(|document| document["paths"][TOKENS]["get"][field] = value)
    };
    let availability = |word: &str| list("x-fern-availability", json!(word));
    let deprecated = ["compatible: the operation is deprecated now"];
    assert_eq!(list("deprecated", json!(true)), deprecated);
    assert_eq!(availability("deprecated"), deprecated);
    assert_eq!(availability("generally-available"), [""; 0]);
    assert_eq!(
        availability("beta"),
        ["compatible: the operation is beta now, and was generally-available"]
    );
}

#[test]
fn a_way_to_authenticate_comes_or_goes() {
    const OLD: &str = "header X-Auth-Email and header X-Auth-Key";
    fn add_api_token(document: &mut Value) {
        let schemes = &mut document["components"]["securitySchemes"];
        schemes["api_token"] = json!({ "type": "http", "scheme": "bearer" });
    }
    let rotate = |security: Value| {
        after(|document| {
            add_api_token(document);
            document["paths"][ROTATE]["post"]["security"] = security;
        })
    };
    let removed = format!("breaking: the operation no longer accepts {OLD}");
    let accepts = |words: &str| format!("compatible: the operation now accepts {words}");
    let pair = json!({ "api_email": [], "api_key": [] });
    let token = json!({ "api_token": [] });
    let bearer = "bearer authentication";
    assert_eq!(rotate(json!([token])), [removed.clone(), accepts(bearer)]);
    assert_eq!(rotate(json!([token, pair])), [accepts(bearer)]);
    // A caller that sends more than it must is still let in.
    let key = json!({ "api_key": [] });
    assert_eq!(rotate(json!([key])), [accepts("header X-Auth-Key")]);
    assert_eq!(rotate(json!([])), [accepts("no credentials")]);
    assert_eq!(rotate(json!([{}])), [accepts("no credentials")]);
    let all = json!({ "api_email": [], "api_key": [], "api_token": [] });
    let more = format!("{bearer} and {OLD}");
    assert_eq!(rotate(json!([all])), [removed.clone(), accepts(&more)]);

    let default = |security: Value| {
        after(|document| {
            add_api_token(document);
            document["security"] = security;
            object(&mut document["paths"][ROTATE]["post"]).remove("security");
        })
    };
    assert_eq!(default(json!([pair])), [""; 0]);
    assert_eq!(default(json!([token])), [removed.clone(), accepts(bearer)]);

    let scheme = |scheme: Value| {
        after(|document| {
            document["components"]["securitySchemes"]["one"] = scheme;
            document["paths"][ROTATE]["post"]["security"] = json!([{ "one": ["read"] }]);
        })
    };
    let flow = json!({ "tokenUrl": "https://one.example", "scopes": { "read": "words" } });
    assert_eq!(
        scheme(json!({ "type": "oauth2", "flows": { "clientCredentials": flow } })),
        [
            removed.clone(),
            accepts(
                "oauth2 clientCredentials https://one.example \
                 and oauth2 clientCredentials https://one.example with scope read"
            ),
        ]
    );
}

#[test]
fn security_schemes_are_known_by_what_they_are() {
    let renamed = UPSTREAM.replace("\"api_key\"", "\"key\"");
    let mut renamed: Value = serde_json::from_str(&renamed).unwrap();
    assert_eq!(between(&upstream(), &renamed), [""; 0]);
    renamed["components"]["securitySchemes"]["key"]["name"] = json!("X-Key");
    let found = between(&upstream(), &renamed);
    let accepts = "the operation now accepts header X-Auth-Email and header X-Key";
    assert!(
        found.contains(&format!("compatible: {accepts}")),
        "{found:?}"
    );
    object(&mut renamed["components"]["securitySchemes"]).remove("key");
    let theirs = Document::new("theirs", renamed.to_string());
    let ours = Document::new("ours", UPSTREAM.to_owned());
    let error = drift(&ours, &theirs, &[]).err().unwrap();
    assert_eq!(
        error.to_string(),
        "theirs: it refers to `#/components/securitySchemes/key`, which it doesn't have"
    );
}

#[test]
fn a_base_url_is_changed() {
    const OLD: &str = "https://api.cloudflare.com/client/v4";
    let removed = format!("breaking: the server {OLD} was removed");
    let next = || json!([{ "url": "https://api.cloudflare.com/client/v5" }]);
    let added = "compatible: the server https://api.cloudflare.com/client/v5 was added";
    let of_the_document = after(|document| document["servers"] = next());
    assert_eq!(of_the_document, [removed.as_str(), added]);
    let of_a_path = after(|document| document["paths"][ROTATE]["servers"] = next());
    assert_eq!(of_a_path, [removed.as_str(), added]);
    let of_an_operation = after(|document| {
        document["paths"][ROTATE]["servers"] = json!([{ "url": OLD }]);
        document["paths"][ROTATE]["post"]["servers"] = next();
    });
    assert_eq!(of_an_operation, [removed.as_str(), added]);
    let one_more = after(|document| {
        document["servers"] = json!([next()[0], { "url": OLD, "description": "words" }]);
    });
    assert_eq!(one_more, [added]);
    let none = after(|document| {
        object(document).remove("servers");
    });
    assert_eq!(none, [removed]);

    let same = after(|document| {
        document["servers"] = json!([{
            "url": "https://{host}/client/v4/",
            "variables": { "host": { "default": "api.cloudflare.com" } },
        }]);
        document["paths"][TOKENS]["servers"] = json!([]);
    });
    assert_eq!(same, [""; 0]);
}

#[test]
fn a_parameter_is_written_otherwise() {
    let list = |more: Value| {
        let mut document = upstream();
        let mut parameter = json!({
            "in": "query", "name": "ids",
            "schema": { "type": "array", "items": { "type": "string" } },
        });
        object(&mut parameter).extend(object(&mut more.clone()).clone());
        let parameters = document["paths"][TOKENS]["get"]["parameters"].as_array_mut();
        parameters.unwrap().push(parameter);
        document
    };
    let before = list(json!({}));
    let stated = json!({ "style": "form", "explode": true, "allowReserved": false });
    assert_eq!(between(&before, &list(stated)), [""; 0]);
    assert_eq!(
        between(&before, &list(json!({ "explode": false }))),
        ["breaking: explode of the parameter 'ids' changed from true to false"]
    );
    assert_eq!(
        between(&before, &list(json!({ "style": "pipeDelimited" }))),
        [
            "breaking: explode of the parameter 'ids' changed from true to false",
            r#"breaking: style of the parameter 'ids' changed from "form" to "pipeDelimited""#,
        ]
    );
    assert_eq!(
        between(&before, &list(json!({ "allowReserved": true }))),
        ["breaking: allowReserved of the parameter 'ids' changed from false to true"]
    );
}

#[test]
fn bodies_come_and_go() {
    let body = json!({ "required": true, "content": { "application/json": { "schema": {} } } });
    let found = after(|document| document["paths"][ROTATE]["post"]["requestBody"] = body);
    assert_eq!(found, ["breaking: the request body was added, required"]);
    let body = json!({ "content": { "application/json": { "schema": {} } } });
    let found = after(|document| document["paths"][ROTATE]["post"]["requestBody"] = body);
    assert_eq!(found, ["compatible: the request body was added, optional"]);
    let found = after(|document| {
        object(&mut document["paths"][TOKENS]["post"]).remove("requestBody");
    });
    assert_eq!(found, ["breaking: the request body was removed"]);
    let found = after(|document| {
        let content = &mut document["paths"][TOKENS]["post"]["requestBody"]["content"];
        let schema = object(content).remove("application/json").unwrap();
        content["application/xml"] = schema;
    });
    assert_eq!(
        found,
        [
            "breaking: request: media type application/json removed",
            "compatible: request: media type application/xml added",
        ]
    );
}
