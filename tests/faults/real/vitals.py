"""What the kernel says of the operator's process: open connections, threads, memory (Linux's /proc)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Vitals:
    """At one moment."""

    sockets: int
    """Listening ones and those of event loops among them."""
    threads: int
    resident_mib: float

    def __str__(self) -> str:
        return f"{self.sockets} sockets, {self.threads} threads, {self.resident_mib:.0f} MiB"


def vitals(pid: int) -> Vitals:
    """Of a process that runs."""
    process = Path("/proc", str(pid))
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return Vitals(
        sockets=sum(_is_socket(entry) for entry in (process / "fd").iterdir()),
        threads=int(status["Threads"]),
        resident_mib=int(status["VmRSS"].split()[0]) / 1024,
    )


def _is_socket(entry: Path) -> bool:
    try:
        return str(entry.readlink()).startswith("socket:")
    except FileNotFoundError:
        # Closed since the folder was listed.
        return False
