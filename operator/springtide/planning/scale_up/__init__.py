"""Scale-up: what to buy for the pods that fit nowhere."""
