"""The person's device as a terminal app. Only this package knows Textual."""
