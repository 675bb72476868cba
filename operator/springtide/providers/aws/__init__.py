"""Amazon EC2 Auto Scaling groups as node groups."""
