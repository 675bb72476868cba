"""Who can do it: the clouds that have node groups, behind one small protocol (base.py)."""
