"""The screens: the only part that knows Textual."""

import os

# Textual takes Escape and a key within a tenth of a second for one key with Alt, and drops the Escape: hands are as
# fast as that. What a terminal itself sends after Escape comes at once.
os.environ.setdefault("ESCDELAY", "25")
