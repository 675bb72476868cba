"""The command line: each failure is one line and an exit code, never a traceback; --help is worth reading."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from springtide import __version__
from springtide.api import crd
from springtide.cli import main
from springtide.cli.main import describe
from springtide.runtime.settings import OperatorSettings

Output = pytest.CaptureFixture[str]


def exit_code(*argv: str) -> int:
    """What the process would end with."""
    try:
        return main.main(argv)
    except SystemExit as ending:
        return int(str(ending.code or 0))


# --- help --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("argv", [[], ["--help"]])
def test_alone_or_asked_for_help_it_explains_itself(argv: list[str], capsys: Output) -> None:
    assert exit_code(*argv) == 0
    text = capsys.readouterr().out
    for expected in ("run ", "demo ", "crds ", "version ", "exit codes:", "examples:"):
        assert expected in text


def test_help_of_run_names_every_flag_with_its_variable_and_default(
    capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert exit_code("run", "--help") == 0
    text = capsys.readouterr().out
    for setting in fields(OperatorSettings):
        assert f"--{setting.name.replace('_', '-')} " in text
        assert f"$SPRINGTIDE_{setting.name.upper()})" in text
    for expected in ("exit codes:", "examples:", "AWS_ACCESS_KEY_ID", "DryRun"):
        assert expected in text


@pytest.mark.parametrize("program", ["springtide", "kubectl-springtide"])
def test_as_a_plugin_of_kubectl_it_calls_itself_so(
    program: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [f"/usr/local/bin/{program}"])
    assert exit_code("--help") == 0
    assert f"usage: {program.replace('-', ' ')} " in capsys.readouterr().out


@pytest.mark.parametrize("argv", [["version"], ["--version"]])
def test_version(argv: list[str], capsys: Output) -> None:
    assert exit_code(*argv) == 0
    assert capsys.readouterr().out == f"springtide {__version__}\n"


# --- wrong usage -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "environment", "message"),
    [
        pytest.param(["run", "--heartbeat", "soon"], {}, "--heartbeat='soon'", id="bad duration in a flag"),
        pytest.param(
            ["run"], {"SPRINGTIDE_HEARTBEAT": "soon"}, "$SPRINGTIDE_HEARTBEAT='soon'", id="in a variable"
        ),
        pytest.param(["run", "--heartbeat", "60"], {}, "write a duration such as", id="without a unit"),
        pytest.param(["run", "--log-format", "xml"], {}, "must be one of human, json", id="unknown choice"),
        pytest.param(["run", "--http-address", ":http"], {}, "must be HOST:PORT", id="bad port"),
        pytest.param(["run", "--provider-refresh", "0s"], {}, "must be longer than zero", id="zero"),
        pytest.param(["run", "--speed", "9"], {}, "unrecognized arguments: --speed 9", id="unknown flag"),
        pytest.param(["crds", "extra"], {}, "unrecognized arguments: extra", id="stray argument"),
        pytest.param(["fly"], {}, "invalid choice: 'fly'", id="unknown command"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(
    argv: list[str],
    environment: dict[str, str],
    message: str,
    capsys: Output,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert exit_code(*argv) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


# --- failures ----------------------------------------------------------------------------------------------------


def failing(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def command(_: argparse.Namespace) -> int:
        raise error

    return command


@pytest.fixture
def command_that_raises(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes `springtide version` raise: the way out of main() is the same for all commands."""
    return lambda error: monkeypatch.setattr(main, "print_version", failing(error))


def test_ctrl_c_ends_quietly_with_130(
    command_that_raises: Callable[[BaseException], None], capsys: Output
) -> None:
    command_that_raises(KeyboardInterrupt())
    assert exit_code("version") == 130
    assert capsys.readouterr() == ("", "")


def test_an_unexpected_error_is_one_line(
    command_that_raises: Callable[[BaseException], None], capsys: Output
) -> None:
    command_that_raises(ExceptionGroup("tasks", [RuntimeError("two\nlines")]))
    assert exit_code("version") == 1
    assert capsys.readouterr().err == "springtide: RuntimeError: two lines\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError("it broke"), "RuntimeError: it broke"),
        (RuntimeError(), "RuntimeError"),
        (ExceptionGroup("outer", [ExceptionGroup("inner", [OSError("no disk")])]), "OSError: no disk"),
    ],
)
def test_describe(error: Exception, line: str) -> None:
    assert describe(error) == line


def springtide(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, as a user starts it."""
    command = [sys.executable, "-m", "springtide.cli.main", *argv]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


def test_without_a_cluster_run_ends_with_1_and_the_way_out(tmp_path: Path) -> None:
    ended = springtide("run", "--kubeconfig", str(tmp_path / "absent"), "--http-address", "127.0.0.1:0")
    assert ended.returncode == 1
    assert "--kubeconfig" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_an_api_server_that_does_not_answer_ends_run_with_1_and_its_name(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "here", "cluster": {"server": "http://127.0.0.1:1"}}],
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
                "users": [{"name": "me", "user": {"token": "x"}}],
                "current-context": "here",
            }
        )
    )
    ended = springtide("run", "--kubeconfig", str(kubeconfig), "--http-address", "127.0.0.1:0")
    assert ended.returncode == 1
    assert "127.0.0.1:1" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_wrong_flags_are_told_without_importing_the_operator() -> None:
    script = (
        "import sys; from springtide.cli.main import main; main(['run', '--heartbeat', 'x']); "
        "sys.exit(bool({'kopf', 'numpy', 'aiohttp'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)
    assert ended.returncode == 0


# --- crds --------------------------------------------------------------------------------------------------------


def test_crds_prints_all_definitions_as_one_stream(capsys: Output) -> None:
    assert exit_code("crds") == 0
    printed = [document["metadata"]["name"] for document in yaml.safe_load_all(capsys.readouterr().out)]
    assert printed == ["nodepools.springtide.dev", "autoscalerpolicies.springtide.dev"]


def test_crds_writes_one_file_each_and_says_where(tmp_path: Path, capsys: Output) -> None:
    folder = tmp_path / "made" / "crds"
    assert exit_code("crds", "--output", str(folder)) == 0
    assert {path.name: path.read_text() for path in folder.iterdir()} == crd.render()
    assert capsys.readouterr().out.splitlines() == [str(folder / name) for name in crd.render()]


def test_crds_into_a_place_that_cannot_be_written_ends_with_1(tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "file"
    file.touch()
    assert exit_code("crds", "--output", str(file)) == 1
    assert capsys.readouterr().err == f"springtide crds: {file}: File exists\n"


def test_a_reader_that_goes_away_is_no_error_worth_a_traceback() -> None:
    pipeline = f"set -o pipefail; {sys.executable} -m springtide.cli.main crds | head -c 10"
    ended = subprocess.run(["bash", "-c", pipeline], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout == "# Generate"
    assert "Traceback" not in ended.stderr


# --- demo --------------------------------------------------------------------------------------------------------


def test_demo_without_its_packages_says_how_to_install_them() -> None:
    script = (
        "import sys; sys.modules['rich'] = None; sys.modules['moto'] = None; "
        "from springtide.cli.main import main; sys.exit(main(['demo', '--help']))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "(moto, rich): pip install 'springtide[demo]'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_demo_gets_the_rest_of_the_line(capsys: Output) -> None:
    with pytest.raises(SystemExit) as ending:
        main.main(["demo", "--pods", "--help"])
    assert ending.value.code == 2
    assert "--pods" in capsys.readouterr().err
