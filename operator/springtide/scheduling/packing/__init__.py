"""Packing pods on new nodes."""
