"""Tables in Markdown, with columns that also line up in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def as_markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """Return rows as a table; numbers are set to the right.

    Args:
        rows: texts by column; one that a row does not have is left empty.

    Example:
        >>> print(as_markdown([{"learner": "BPTT", "loss": "1.4e-4"}, {"learner": "optimum"}]))
        | learner |   loss |
        | ------- | -----: |
        | BPTT    | 1.4e-4 |
        | optimum |        |
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [{name: name for name in columns}, *rows]
    widths = {name: max(len(line.get(name, "")) for line in lines) for name in columns}
    to_the_right = {name for name in columns if all(_is_number(row.get(name, "")) for row in rows)}
    rules = {
        name: "-" * (widths[name] - (name in to_the_right)) + ":" * (name in to_the_right)
        for name in columns
    }

    def line(cells: Mapping[str, str]) -> str:
        texts = (
            cells.get(name, "").rjust(widths[name])
            if name in to_the_right
            else cells.get(name, "").ljust(widths[name])
            for name in columns
        )
        return f"| {' | '.join(texts)} |"

    return "\n".join([line(lines[0]), line(rules), *map(line, rows)])


def _is_number(text: str) -> bool:
    return not text or text[0] in "0123456789-+."
