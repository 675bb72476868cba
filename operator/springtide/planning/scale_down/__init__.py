"""Scale-down: which nodes can go together, which go now, and why each of the others stays."""
