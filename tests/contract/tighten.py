"""Derives from Cloudflare's document the copies that the referee holds both sides to.

The document leaves so much open that it allows `result: {}`. In a copy

- an answer has the fields that the document names and no others, those of `REQUIRED`
  at the least, and a failure has at least one error;
- a request has the fields that the document names and no others; or, where `known`
  is given, any others as well, and must meet what that adds;
- an operation that the document calls deprecated is left out;
- the service tokens are apart from their neighbours.

Two things are looser than in the document: `THROTTLED` and `BY_KEY_ALONE`.
"""

import copy

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

# The same for the neighbours of the service tokens.
RULES = ["include", "require", "exclude"]
STORED = ["id", "name", "created_at", "updated_at"]
REQUIRED_OF_NEIGHBOURS = {
    "iam_response_collection_accounts": ["result", "result_info"],
    "iam_result_info": ["count", "page", "per_page", "total_count"],
    "iam_token_verify_response_single_segment": ["result"],
    "access_get_response": ["result"],
    "access_organizations": ["name", "strict_service_token_auth"],
    "access_response_collection-10": ["result", "result_info"],
    "access_reusable_policy_resp": ["app_count", "reusable"],
    "access_base_policy_resp": [*STORED, *RULES, "decision"],
    "access_response_collection-2": ["result", "result_info"],
    "access_groups-2": [*STORED, *RULES],
    "access_response_collection-8": ["result", "result_info"],
    "access_self_hosted_props": ["name"],
    "access_app_resp_embedded_policies": ["policies"],
    "access_app_policy_response": ["precedence"],
    "access_scim_config": ["authentication"],
    "access_api-response-collection/result_info": ["count", "page", "per_page", "total_count"],
}

# The code of a throttled call is less than 1000, the least that the document allows:
# Cloudflare answers 971 with status 429.
THROTTLED = 971

# The document gives this operation the global key alone; API tokens work there as well.
BY_KEY_ALONE = "accounts-list-accounts"


class Resolver:
    """Resolves each reference of a document, and merges the parts of each `allOf`.

    A schema's place is the name of its component; below one, and below an operation, the
    names of parameters and properties follow. `additions` has what to add there.
    """

    def __init__(self, document, closed, additions):
        self.document = document
        self.closed = closed
        self.additions = additions
        # The additions that no schema has met yet.
        self.unmet = set(additions)

    def referenced(self, reference):
        """The target of a reference, and its name."""
        target = self.document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        return target, reference.rsplit("/", 1)[1]

    def schema(self, schema, place):
        merged = self.merged(schema, place)
        if "items" in merged:
            merged["items"] = self.schema(merged["items"], f"{place}/items")
        for choice in ("oneOf", "anyOf"):
            if choice in merged:
                at = f"{place}/{choice}"
                merged[choice] = [self.schema(part, at) for part in merged[choice]]
        if "properties" in merged:
            merged["properties"] = {
                name: self.schema(part, at) for name, (part, at) in merged["properties"].items()
            }
            if self.closed:
                merged["additionalProperties"] = False
        return merged

    def merged(self, schema, place):
        """The schema with each property beside its place."""
        own = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        if "properties" in own:
            own["properties"] = {
                name: (part, f"{place}/{name}") for name, part in own["properties"].items()
            }
        parts = [self.merged(part, place) for part in schema.get("allOf", [])]
        if "$ref" in schema:
            parts.append(self.merged(*self.referenced(schema["$ref"])))
        self.unmet.discard(place)
        whole = {}
        for part in [*parts, own, self.additions.get(place, {})]:
            properties = {**whole.get("properties", {}), **part.get("properties", {})}
            required = sorted({*whole.get("required", []), *part.get("required", [])})
            whole = {**whole, **part}
            if properties:
                whole["properties"] = properties
            if required:
                whole["required"] = required
        return whole

    def content(self, content, place):
        return {
            kind: {**media, "schema": self.schema(media["schema"], place)}
            for kind, media in content.items()
        }


def tightened_response(response, answers, success):
    content = answers.content(response["content"], "response")
    for media in content.values():
        errors = media["schema"]["properties"]["errors"]
        # The document gives a failure's list a `minLength`, which says nothing of a list.
        errors.pop("minLength", None)
        errors["maxItems" if success else "minItems"] = 0 if success else 1
    return {**response, "content": content}


def throttled(failure):
    failure = copy.deepcopy(failure)
    for media in failure["content"].values():
        errors = media["schema"]["properties"]["errors"]
        errors["items"]["properties"]["code"]["minimum"] = THROTTLED
    return failure


def tightened_parameter(parameter, requests, operation_id):
    if "$ref" in parameter:
        parameter, _ = requests.referenced(parameter["$ref"])
    schema = requests.schema(parameter["schema"], f"{operation_id}/{parameter['name']}")
    return {**parameter, "schema": schema}


def tightened_operation(operation, answers, requests):
    name = operation["operationId"]
    tight = {
        **operation,
        "parameters": [
            tightened_parameter(parameter, requests, name)
            for parameter in operation.get("parameters", [])
        ],
        "responses": {
            status: tightened_response(response, answers, status.startswith("2"))
            for status, response in operation["responses"].items()
        },
    }
    tight["responses"]["429"] = throttled(tight["responses"]["4XX"])
    if name == BY_KEY_ALONE:
        tight["security"] = [{"api_token": []}, *operation["security"]]
    if not requests.closed:
        # Half of the other scheme, X-Auth-Email without X-Auth-Key, is answered 400 at
        # Cloudflare. Tools that leave credentials away expect 401 or 403.
        tight["security"] = [{"api_token": []}]
    if "requestBody" in operation:
        body = operation["requestBody"]
        tight["requestBody"] = {**body, "content": requests.content(body["content"], name)}
    return tight


def is_deprecated(operation):
    return operation.get("deprecated") or operation.get("x-fern-availability") == "deprecated"


def is_neighbour(path):
    """Whether the calls at a path are about something else than service tokens."""
    return "/access/service_tokens" not in path


def tighten(document, known=None, neighbours=False):
    """The tightened copy of a document: of the operations of the service tokens, or of
    their neighbours.

    `known` says, by the place of a schema of requests, what to add to it.
    """
    fields_of = REQUIRED_OF_NEIGHBOURS if neighbours else REQUIRED
    required = {place: {"required": fields} for place, fields in fields_of.items()}
    answers = Resolver(document, True, required)
    requests = Resolver(document, known is None, known or {})
    paths = {}
    for path, item in document["paths"].items():
        operations = {
            method: tightened_operation(operation, answers, requests)
            for method, operation in item.items()
            if not is_deprecated(operation) and is_neighbour(path) == neighbours
        }
        if operations:
            paths[path] = operations
    unmet = answers.unmet | requests.unmet
    if unmet:
        raise SystemExit(f"the document has no such schemas: {', '.join(sorted(unmet))}")
    schemes = document["components"]["securitySchemes"]
    return {**document, "paths": paths, "components": {"securitySchemes": schemes}}
