"""The tables of docs/settings.md as the code would write them: ``python -m support.settings_tables`` prints them."""

from __future__ import annotations

from placet_server.domain.policies import TABLE
from placet_server.faces.switches import TABLE as SWITCHES
from placet_server.settings import PREFIX, table


def settings_rows() -> list[str]:
    """One Markdown row for each setting."""
    return [
        f"| `{row.name}` | `--{row.name.replace('_', '-')}` | `{PREFIX}{row.name.upper()}` | {row.type} | "
        f"{f'`{row.default}`' if row.default else ''} | {row.meaning} |"
        for row in table()
    ]


def policy_rows() -> list[str]:
    """One Markdown row for each policy."""
    return [
        f"| `{policy.name}` | {policy.type.replace('|', ' or ')} | {_cell(policy.default)} | {policy.unit} | "
        f"{_limits(policy.minimum, policy.maximum)} | {policy.meaning} |"
        for policy in TABLE
    ]


def switch_rows() -> list[str]:
    """One Markdown row for each switch of a face."""
    return [
        f"| {row.face} | `{row.name}` | {row.type.replace('|', ' or ')} | {_cell(row.default)} | {row.meaning} |"
        for row in SWITCHES
    ]


def typed(value: object) -> str:
    """A value as a person types it behind ``NAME=``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _cell(default: object) -> str:
    return f"`{typed(default)}`" if typed(default) else "empty"


def _limits(low: int | None, high: int | None) -> str:
    return "" if low is None and high is None else f"{low} to {high}"


if __name__ == "__main__":
    print("\n".join([*settings_rows(), "", *switch_rows(), "", *policy_rows()]))
