"""Label selectors as users write them on the command line: app=web, tier in (a, b), !legacy."""

from __future__ import annotations

from springtide.cluster.selector import LabelRequirement, LabelSelector, SelectorOperator

_LONGEST = 200


def selector_text(selector: LabelSelector | None) -> str:
    """The selector in one line, cut off when long; what selects no pod, or every pod, says so."""
    if selector is None:
        return "no pod"
    text = ", ".join(_text(requirement) for requirement in selector.requirements) or "every pod"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _text(requirement: LabelRequirement) -> str:
    key, values = requirement.key, requirement.values
    match requirement.operator:
        case SelectorOperator.IN:
            return f"{key}={values[0]}" if len(values) == 1 else f"{key} in ({', '.join(values)})"
        case SelectorOperator.NOT_IN:
            return f"{key}!={values[0]}" if len(values) == 1 else f"{key} notin ({', '.join(values)})"
        case SelectorOperator.EXISTS:
            return key
        case SelectorOperator.DOES_NOT_EXIST:
            return f"!{key}"
