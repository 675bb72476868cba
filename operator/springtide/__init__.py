"""Springtide: a Kubernetes node autoscaler."""
