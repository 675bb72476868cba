"""Placing many pods of one shape at once, exactly as one by one."""
