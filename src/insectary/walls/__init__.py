"""Walls around foreign programs: what the kernel keeps them off, and how far that held."""
