"""Nodes as arrays: labels, taints, resources, ports, volumes, and what the pods on them leave."""
