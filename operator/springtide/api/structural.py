"""From pydantic models to the structural schemas that CustomResourceDefinitions demand.

A structural schema is stricter than JSON schema: no references, no nullable unions, no defaults of null,
nothing next to x-kubernetes-int-or-string that names a type. Rules:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from springtide.api.duration import format_duration
from springtide.api.model import Overrides
from springtide.api.rules import Rule

Schema = dict[str, Any]

_RULES: Final = "x-kubernetes-validations"
_IS_OVERRIDES: Final = "x-overrides"
"""Our own mark on the way from model to schema; never leaves this module."""

_KEPT: Final = (
    "type",
    "format",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "anyOf",
    "required",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
)
"""Keywords that pass unchanged, in the order they are written; $ref, default, properties, … have
treatments of their own, and whatever else pydantic says (title, discriminator, …) is dropped."""


class _WithRules(GenerateJsonSchema):
    """pydantic's JSON schema, plus the rules that stand on the classes, and durations written as Go does."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        return _with_rules(super().model_schema(schema), schema["cls"])

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        return _with_rules(super().dataclass_schema(schema), schema["cls"])

    def encode_default(self, dft: Any) -> Any:
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def _with_rules(schema: JsonSchemaValue, model: type[Any]) -> JsonSchemaValue:
    rules: tuple[Rule, ...] = model.rules
    if rules:
        schema[_RULES] = [_validation(rule) for rule in rules]
    if issubclass(model, Overrides):
        schema[_IS_OVERRIDES] = True
    return schema


def _validation(rule: Rule) -> Schema:
    validation = {"rule": rule.cel, "message": rule.message}
    if rule.field:
        validation["fieldPath"] = f".{rule.field}"
    return validation


def structural_schema(model: type[BaseModel], *, users_write_it: bool) -> Schema:
    """The structural schema of a model, without references.

    What users write (a spec) gets the models' defaults and rules. What Springtide writes (a status) has neither: the
    API server shall not fill it in, nor spend time on judging it.
    """
    raw = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_WithRules)
    return _Converter(definitions=raw.pop("$defs", {}), users_write_it=users_write_it).convert(raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Converter:
    definitions: Mapping[str, Schema]
    users_write_it: bool

    def convert(self, raw: Schema) -> Schema:
        """One node of the schema and everything below it. Recursive models would not end: there are none."""
        node = self._inlined(raw)
        schema: Schema = {}
        if "description" in node:
            schema["description"] = self._description(node)
        schema |= {keyword: node[keyword] for keyword in _KEPT if keyword in node}
        if self.users_write_it and (default := self._default(node)) is not None:
            schema["default"] = default
        if "properties" in node:
            schema["properties"] = {name: self._property(node, name) for name in node["properties"]}
        elif isinstance(node.get("additionalProperties"), dict):
            schema["additionalProperties"] = self.convert(node["additionalProperties"])
        if "items" in node:
            schema["items"] = self.convert(node["items"])
        if self.users_write_it and _RULES in node:
            schema[_RULES] = node[_RULES]
        return schema

    def _inlined(self, raw: Schema) -> Schema:
        """The node with its reference and its "or null" resolved; what stands beside them (description,
        default) wins.

        None of our fields is nullable: the API server drops a null from such a field, so that null means
        absent.
        """
        beside = {key: value for key, value in raw.items() if key not in ("$ref", "anyOf")}
        if "$ref" in raw:
            return self._inlined(self.definitions[raw["$ref"].rpartition("/")[2]]) | beside
        if {"type": "null"} in raw.get("anyOf", ()):
            (only,) = (option for option in raw["anyOf"] if option != {"type": "null"})
            return self._inlined(only) | beside
        return raw

    def _property(self, parent: Schema, name: str) -> Schema:
        schema = self.convert(parent["properties"][name])
        if self.users_write_it and parent.get(_IS_OVERRIDES):
            schema["description"] += " Absent: as the policy says."
        return schema

    def _default(self, node: Schema) -> Any:
        """A default fires only when its parent exists, so objects get {} and their fields the values."""
        default = node.get("default")
        if "properties" in node:
            return {} if default is not None else None
        return default if default not in ([], {}, "") else None

    def _description(self, node: Schema) -> str:
        text = " ".join(node["description"].split())
        default = self._default(node) if self.users_write_it else None
        if default is None or default == {}:
            return text
        return f"{text} Default: {_shown(default)}."


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return "true" if default else "false"
    if isinstance(default, list):
        return f"[{', '.join(map(str, default))}]"
    return str(default)
