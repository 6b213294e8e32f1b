"""The only readers of answer keys: trials that measure detectors against the truth."""
