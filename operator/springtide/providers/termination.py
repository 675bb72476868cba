"""Terminating several instances one by one, with one result each: what every provider without a batch call does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from springtide.providers.base import AmbiguousError, ProviderError, TerminateOutcome, TerminateResult


async def terminate_each(
    instance_ids: Iterable[str], terminate_one: Callable[[str], Awaitable[TerminateResult]]
) -> dict[str, TerminateResult]:
    """Call `terminate_one` for each id in order, until one fails; the rest is NOT_SENT.

    After a lost answer the target is uncertain, and so is the minimum that the next termination must respect.
    Raises the ProviderError of a call only when no instance was terminated before it.
    """
    results: dict[str, TerminateResult] = {}
    stopped_by = ""
    for instance_id in dict.fromkeys(instance_ids):
        if stopped_by:
            results[instance_id] = TerminateResult(TerminateOutcome.NOT_SENT, stopped_by)
            continue
        try:
            results[instance_id] = await terminate_one(instance_id)
        except AmbiguousError as error:
            stopped_by = str(error)
            results[instance_id] = TerminateResult(TerminateOutcome.UNKNOWN, stopped_by)
        except ProviderError as error:
            if not any(result.outcome is TerminateOutcome.TERMINATED for result in results.values()):
                raise
            stopped_by = str(error)
            results[instance_id] = TerminateResult(TerminateOutcome.NOT_SENT, stopped_by)
    return results
