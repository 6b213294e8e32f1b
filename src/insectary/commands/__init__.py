"""What each command does. Only ``click`` may be imported at module level here."""
