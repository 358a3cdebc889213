"""The operator's commands: what they do, wherever they run."""
