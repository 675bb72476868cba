"""Node groups and their nodes: what is there, what is coming, what failed, and how far each group may go."""
