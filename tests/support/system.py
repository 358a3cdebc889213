"""Programs of the system that deeper tests drive."""

from __future__ import annotations

import os
import shutil

import pytest


def needed(program: str) -> str:
    """The path of a program; without it the test is skipped by name, and fails where CI is set."""
    found = shutil.which(program)
    if found is None:
        reason = f"{program} is not installed: python3 dev.py system"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found
