"""Pending pods: which ask for nodes, which have a place already or soon, and what each is told."""
