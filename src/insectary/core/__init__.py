"""The nouns: frozen data, interfaces and errors. No torch, no I/O."""
