"""Derives from Cloudflare's document the copy that the referee holds answers against.

The document leaves so much open that it allows `result: {}`. The copy has the same
operations and the same types, and three things more:

- An object has no field but those that the document names, in requests as well.
- An answer has the fields of `REQUIRED`, and a failure has at least one error.
- An operation that the document calls deprecated is left out.

One thing is looser: `THROTTLED`.

    python3 tighten.py DOCUMENT >COPY
"""

import copy
import json
import sys

TOKEN = ["id", "client_id", "name", "duration", "enabled", "created_at", "updated_at"]

# The fields that an answer must have, by the schema that the document gives for it.
# `last_seen_at` is not among them: a token that was never used has none.
REQUIRED = {
    "access_service-tokens": [*TOKEN, "expires_at"],
    "access_create_response/result": [*TOKEN, "client_secret"],
    "access_create_response": ["result"],
    "access_single_response-2": ["result"],
    "access_response_collection-4": ["result", "result_info"],
    "access_api-response-collection/result_info": ["count", "page", "per_page", "total_count"],
}

# The code of a throttled call is less than 1000, the least that the document allows:
# Cloudflare answers 971 with status 429.
THROTTLED = 971


class Tightener:
    """Resolves each reference of a document, and closes each object."""

    def __init__(self, document):
        self.document = document
        # What is left of `REQUIRED`: each entry must meet its schema.
        self.unmet = dict(REQUIRED)

    def referenced(self, reference):
        """The target of a reference, and its name."""
        target = self.document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        return target, reference.rsplit("/", 1)[1]

    def schema(self, schema, where):
        """A schema without references and without `allOf`, every object of it closed."""
        merged = self.merged(schema, where)
        if "items" in merged:
            merged["items"] = self.schema(merged["items"], f"{where}/items")
        if "properties" in merged:
            merged["properties"] = {
                name: self.schema(part, at) for name, (part, at) in merged["properties"].items()
            }
            merged["additionalProperties"] = False
        return merged

    def merged(self, schema, where):
        """One schema in place of a reference or of the parts of an `allOf`.

        Properties keep the place that they come from: `REQUIRED` names it.
        """
        if "$ref" in schema:
            target, name = self.referenced(schema["$ref"])
            return self.merged(target, name)
        own = {key: value for key, value in schema.items() if key != "allOf"}
        if "properties" in own:
            own["properties"] = {
                name: (part, f"{where}/{name}") for name, part in own["properties"].items()
            }
        own["required"] = own.get("required", []) + self.unmet.pop(where, REQUIRED.get(where, []))
        whole = {}
        for part in [*(self.merged(part, where) for part in schema.get("allOf", [])), own]:
            properties = {**whole.get("properties", {}), **part.get("properties", {})}
            required = sorted({*whole.get("required", []), *part.get("required", [])})
            whole = {**whole, **part}
            if properties:
                whole["properties"] = properties
            # An empty list is no list in OpenAPI 3.0.
            whole.pop("required", None)
            if required:
                whole["required"] = required
        return whole

    def content(self, content, where):
        return {
            kind: {**media, "schema": self.schema(media["schema"], where)}
            for kind, media in content.items()
        }

    def response(self, response, success):
        content = self.content(response["content"], "response")
        for media in content.values():
            errors = media["schema"]["properties"]["errors"]
            # The document gives a failure's list a `minLength`, which says nothing of a list.
            errors.pop("minLength", None)
            errors["maxItems" if success else "minItems"] = 0 if success else 1
        return {**response, "content": content}

    def throttled(self, failure):
        failure = copy.deepcopy(failure)
        for media in failure["content"].values():
            errors = media["schema"]["properties"]["errors"]
            errors["items"]["properties"]["code"]["minimum"] = THROTTLED
        return failure

    def operation(self, operation):
        tight = {
            **operation,
            "parameters": [self.parameter(one) for one in operation["parameters"]],
            "responses": {
                status: self.response(response, status.startswith("2"))
                for status, response in operation["responses"].items()
            },
        }
        tight["responses"]["429"] = self.throttled(tight["responses"]["4XX"])
        if "requestBody" in operation:
            body = operation["requestBody"]
            tight["requestBody"] = {**body, "content": self.content(body["content"], "request")}
        return tight

    def parameter(self, parameter):
        if "$ref" in parameter:
            parameter, _ = self.referenced(parameter["$ref"])
        return {**parameter, "schema": self.schema(parameter["schema"], "parameter")}


def is_deprecated(operation):
    return operation.get("deprecated") or operation.get("x-fern-availability") == "deprecated"


def tighten(document):
    tightener = Tightener(document)
    paths = {}
    for path, item in document["paths"].items():
        operations = {
            method: tightener.operation(operation)
            for method, operation in item.items()
            if not is_deprecated(operation)
        }
        if operations:
            paths[path] = operations
    if tightener.unmet:
        raise SystemExit(f"the document has no such schemas: {sorted(tightener.unmet)}")
    schemes = document["components"]["securitySchemes"]
    return {**document, "paths": paths, "components": {"securitySchemes": schemes}}


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as document:
        json.dump(tighten(json.load(document)), sys.stdout, indent=1)
