"""Rules over zones, regions and the like: how many pods go to each, before any node is chosen."""
