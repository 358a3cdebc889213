"""The person's commands, one file a subject."""
