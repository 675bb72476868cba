"""Degraded modes: what is measured of our surroundings, and the pure rules that make degradations of it."""
