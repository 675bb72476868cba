"""A cloud that exists only inside the process: for scenario tests in virtual time, for trying things out and DryRun.

Used from a NodePool in a real cluster it buys and removes machines that do not exist, so no Node ever registers.
"""
