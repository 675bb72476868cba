"""Expanders: how one of several possible purchases is chosen, and what they need to know for it."""
