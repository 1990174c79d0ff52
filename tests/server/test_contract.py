"""Our OpenAPI document: valid in itself, and held against the public contract of 0.4.2 route by route."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from sandbox_agent.server.routes import ROUTES, by_path

from ..support.contract import ours
from ..support.shared import shared


@pytest.fixture(scope="module")
def theirs() -> dict[str, Any]:
    """The document of 0.4.2."""
    document: dict[str, Any] = json.loads(shared("contract/openapi-0.4.2.json").read_text())
    return document


def _schema(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its reference followed."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def test_every_operation_is_described_once_with_its_parameters_and_problems() -> None:
    document = ours()
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names)) == len(ROUTES)
    for route in ROUTES:
        operation = document["paths"][route.path][route.method.lower()]
        in_path = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert in_path == {part[1:-1] for part in route.path.split("/") if part.startswith("{")}
        assert {str(status) for status in route.answers} <= set(operation["responses"])
        assert {"400", "403", "500"} <= set(operation["responses"])
        assert ("401" in operation["responses"]) is not route.public


def test_what_parameters_and_members_mean_is_told_by_the_names_that_clients_see() -> None:
    """Each query is explained, and no explanation has a name that is only Python's."""
    document = ours()
    operations = [told for methods in document["paths"].values() for told in methods.values()]
    for told in operations:
        asked = [parameter["name"] for parameter in told["parameters"] if parameter["in"] == "query"]
        assert ("description" in told) == bool(asked), told["operationId"]
    schemas = document["components"]["schemas"].values()
    wire = {name for schema in schemas for name in schema.get("properties", ())}
    for told in (*operations, *schemas):
        for name in re.findall(r"`(\w+)`", told.get("description", "")):
            first, *others = name.split("_")
            assert name in wire or first + "".join(map(str.capitalize, others)) not in wire, name


def test_every_reference_leads_somewhere_and_every_schema_is_one() -> None:
    document = ours()
    jsonschema.Draft202012Validator.check_schema(document["components"]["schemas"])
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [ref for inner in value.values() for ref in references(inner)]
        return [ref for inner in value for ref in references(inner)] if isinstance(value, list) else []

    named = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= named


def test_no_two_routes_answer_the_same_request() -> None:
    assert sum(len(methods) for methods in by_path().values()) == len(ROUTES)


def test_nothing_is_missing_of_the_public_contract(theirs: dict[str, Any]) -> None:
    mine = ours()["paths"]
    absent = {
        (method, path)
        for path, methods in theirs["paths"].items()
        for method in methods
        if method not in mine.get(path, {})
    }
    assert absent == set()


def test_every_served_route_takes_the_parameters_of_the_public_contract(theirs: dict[str, Any]) -> None:
    for path, methods in theirs["paths"].items():
        for method, operation in methods.items():
            mine = {(p["name"], p["in"]): p for p in ours()["paths"][path][method]["parameters"]}
            for parameter in operation.get("parameters", []):
                key = (parameter["name"], parameter["in"])
                assert key in mine, f"{method} {path} lacks {key}"
                if not parameter.get("required"):
                    assert not mine[key].get("required"), f"{method} {path} demands {key}"


def test_every_served_route_answers_with_the_statuses_and_fields_of_the_public_contract(
    theirs: dict[str, Any],
) -> None:
    for path, methods in theirs["paths"].items():
        for method, operation in methods.items():
            mine = ours()["paths"][path][method]
            for status, answer in operation["responses"].items():
                assert status in mine["responses"], f"{method} {path} never answers {status}"
                schema = answer.get("content", {}).get("application/json", {}).get("schema")
                if schema is None or int(status) >= 400:
                    continue
                own = mine["responses"][status]["content"]["application/json"]["schema"]
                _superset(theirs, schema, own, f"{method} {path} {status}")


def _superset(document: dict[str, Any], schema: dict[str, Any], own: dict[str, Any], where: str) -> None:
    """Ours must have what theirs has: every property, and what they require as required."""
    schema, own = _schema(document, schema), _schema(ours(), own)
    for name, inner in schema.get("properties", {}).items():
        assert name in own.get("properties", {}), f"{where} lacks {name}"
        if name in schema.get("required", ()):
            assert name in own.get("required", ()), f"{where} does not always have {name}"
        _superset(document, inner, own["properties"][name], f"{where}.{name}")
    if schema.get("items"):
        _superset(document, schema["items"], own.get("items", {}), f"{where}[]")
