"""Volumes: what pods mount, the storage objects behind it, and what both together ask of a node."""
