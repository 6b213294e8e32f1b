"""Outward: probes for production models, their assessment, and the plugin for Inspect."""
