"""The person's device, in a terminal."""
