"""kube-scheduler's filters over arrays of nodes, one module each, all of the same shape (see filters.base)."""
