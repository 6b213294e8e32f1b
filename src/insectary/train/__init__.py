"""Recipes and loops: supervised fine-tuning. Knows no threat."""
