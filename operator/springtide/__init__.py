"""Springtide: a Kubernetes node autoscaler. It buys nodes when pods cannot be scheduled and gives them back when idle."""

__version__ = "0.1.0"
