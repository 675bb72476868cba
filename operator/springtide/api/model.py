"""What all models of the API have in common: camelCase on the wire, snake_case here, frozen, forward
compatible."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Final, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model
from pydantic.alias_generators import to_camel

from springtide.api.rules import Rule

API_GROUP: Final = "springtide.dev"
API_VERSION: Final = "v1alpha1"


class ApiModel(BaseModel):
    """Base of everything that users write or read."""

    # Written out here, not named elsewhere: mypy's plugin reads no other place.
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        # A newer CRD may know fields that this release does not; reading must not fail on them.
        extra="ignore",
        # The docstring under each field is its description in `kubectl explain`.
        use_attribute_docstrings=True,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    def to_wire(self) -> dict[str, Any]:
        """The object as JSON for the API server: camelCase, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


CONFIG: Final = ApiModel.model_config
"""The same for settings dataclasses, as __pydantic_config__."""


class Overrides(ApiModel):
    """Any of the fields of a settings dataclass; an absent one leaves the setting as it is."""

    if TYPE_CHECKING:
        # Subclasses are derived by overrides_of(), so their fields are known only at run time.
        def __init__(self, **fields: object) -> None: ...

    def given(self) -> dict[str, Any]:
        """The fields that were given, by their Python names; nested overrides as Overrides."""
        return {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}


def overrides_of(settings: type[Any]) -> type[Overrides]:
    """Derive from a settings dataclass the model with the same fields, all optional and without defaults."""
    documented = TypeAdapter(settings).json_schema()["properties"]
    hints = get_type_hints(settings, include_extras=True)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        hint = hints[field.name]
        kind = overrides_of(hint) if isinstance(hint, type) and dataclasses.is_dataclass(hint) else hint
        description = documented[to_camel(field.name)]["description"]
        fields[field.name] = (kind | None, Field(default=None, description=description))
    model: type[Overrides] = create_model(
        settings.__name__.removesuffix("Settings") + "Overrides",
        __base__=Overrides,
        __doc__=settings.__doc__,
        __module__=settings.__module__,
        **fields,
    )
    model.rules = settings.rules
    return model


def apply_overrides(settings: Any, overrides: Overrides | None) -> Any:
    """The settings dataclass with the given fields replaced, nested ones field by field."""
    if overrides is None:
        return settings
    changes = {
        name: apply_overrides(getattr(settings, name), value) if isinstance(value, Overrides) else value
        for name, value in overrides.given().items()
    }
    return dataclasses.replace(settings, **changes)
