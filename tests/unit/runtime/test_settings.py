"""Settings: flags win over the environment, the environment over defaults; what is wrong is named."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from springtide.runtime.settings import LogFormat, OperatorSettings, SettingsError, parse_settings


def test_without_anything_the_defaults_hold() -> None:
    assert parse_settings([], {}) == OperatorSettings()


def test_a_flag_wins_over_its_variable() -> None:
    environment = {"SPRINGTIDE_CLUSTER_NAME": "from-env", "SPRINGTIDE_LOG_FORMAT": "json"}
    settings = parse_settings(["--cluster-name=from-flag"], environment)
    assert (settings.cluster_name, settings.log_format) == ("from-flag", LogFormat.JSON)


def test_every_kind_of_value_is_understood() -> None:
    settings = parse_settings(
        ["--provider-refresh=1m30s", "--kubeconfig=/tmp/config", "--http-address=127.0.0.1:0"], {}
    )
    assert settings.provider_refresh == timedelta(seconds=90)
    assert settings.kubeconfig == Path("/tmp/config")
    assert settings.http_host_port == ("127.0.0.1", 0)


@pytest.mark.parametrize(
    ("argv", "environment", "words"),
    [
        pytest.param(["--log-format=xml"], {}, ["--log-format", "xml", "human", "json"], id="unknown format"),
        pytest.param(
            [], {"SPRINGTIDE_LOG_LEVEL": "loud"}, ["$SPRINGTIDE_LOG_LEVEL", "debug"], id="by variable"
        ),
        pytest.param(["--provider-refresh=often"], {}, ["--provider-refresh", "often"], id="no duration"),
        pytest.param(["--provider-refresh=0s"], {}, ["--provider-refresh", "longer than zero"], id="zero"),
        pytest.param(["--http-address=0.0.0.0:http"], {}, ["--http-address", "HOST:PORT"], id="no number"),
        pytest.param(["--http-address=0.0.0.0:70000"], {}, ["--http-address", "65535"], id="no port"),
        pytest.param(["--leader-elect=perhaps"], {}, ["--leader-elect", "true or false"], id="no boolean"),
        pytest.param(
            ["--renew-deadline=15s"],
            {},
            ["--renew-deadline", "shorter than the lease duration"],
            id="no margin",
        ),
    ],
)
def test_what_cannot_be_understood_is_named(
    argv: list[str], environment: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(SettingsError) as error:
        parse_settings(argv, environment)
    for word in words:
        assert word in str(error.value)


def test_an_address_may_be_a_port_alone() -> None:
    assert parse_settings(["--http-address=8080"], {}).http_host_port == ("0.0.0.0", 8080)


@pytest.mark.parametrize(
    ("argv", "elects"),
    [
        ([], True),
        (["--leader-elect"], True),
        (["--leader-elect=false"], False),
        (["--leader-elect=TRUE"], True),
    ],
)
def test_a_boolean_flag_may_stand_alone(argv: list[str], elects: bool) -> None:
    assert parse_settings(argv, {}).leader_elect is elects


def test_the_times_of_the_election_do_not_matter_without_one() -> None:
    assert not parse_settings(["--leader-elect=false", "--renew-deadline=1h"], {}).leader_elect
