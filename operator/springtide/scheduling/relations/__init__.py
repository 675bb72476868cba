"""Pods that ask about other pods: the questions, and how many pods answer to them, by node and domain."""
