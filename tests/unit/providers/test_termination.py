"""One result for each instance, whatever happens on the way."""

from __future__ import annotations

import pytest

from springtide.providers.base import (
    AmbiguousError,
    ProviderError,
    RefusedError,
    TerminateOutcome,
    TerminateResult,
    ThrottledError,
)
from springtide.providers.termination import terminate_each

DONE = TerminateResult(TerminateOutcome.TERMINATED)
GONE = TerminateResult(TerminateOutcome.ALREADY_GONE)

T, G, U, N = (
    TerminateOutcome.TERMINATED,
    TerminateOutcome.ALREADY_GONE,
    TerminateOutcome.UNKNOWN,
    TerminateOutcome.NOT_SENT,
)


async def outcomes(*answers: TerminateResult | ProviderError) -> list[TerminateOutcome]:
    script = {f"i-{number}": answer for number, answer in enumerate(answers)}

    async def terminate_one(instance_id: str) -> TerminateResult:
        answer = script[instance_id]
        if isinstance(answer, ProviderError):
            raise answer
        return answer

    results = await terminate_each(script, terminate_one)
    assert list(results) == list(script)
    return [result.outcome for result in results.values()]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([DONE, GONE, DONE], [T, G, T], id="all answered"),
        pytest.param([DONE, AmbiguousError("lost"), DONE], [T, U, N], id="a lost answer stops the rest"),
        pytest.param([AmbiguousError("lost"), DONE], [U, N], id="a lost first answer is no exception"),
        pytest.param(
            [DONE, ThrottledError("slow"), DONE], [T, N, N], id="a failure after a success stops the rest"
        ),
    ],
)
async def test_results(
    answers: list[TerminateResult | ProviderError], expected: list[TerminateOutcome]
) -> None:
    assert await outcomes(*answers) == expected


@pytest.mark.parametrize("answers", [[ThrottledError("slow"), DONE], [GONE, RefusedError("no")]])
async def test_a_failure_before_anything_was_terminated_is_raised(
    answers: list[TerminateResult | ProviderError],
) -> None:
    with pytest.raises(ProviderError):
        await outcomes(*answers)
