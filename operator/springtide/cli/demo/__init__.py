"""`springtide demo`: a real control plane on this machine grows and shrinks, and tells the story meanwhile."""

from springtide.cli.demo.command import run

__all__ = ["run"]
