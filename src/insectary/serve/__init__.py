"""An OpenAI-compatible server of organisms, contained by default."""
