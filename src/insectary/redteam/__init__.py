"""Red-team methods: each attacks a subject that it knows nothing of, and reports findings."""
