"""The nouns: frozen data, interfaces and errors; no torch. And the walls of foreign programs."""
