"""The nouns. Frozen data, interfaces and errors; no torch and no I/O."""
