"""Helm templates made from objects: YAML in which some lines and values are actions of Go templates."""

import re
from typing import Any, Final

from tools import to_yaml

_MARK: Final = re.compile(r"ACTION(\d{4})")
_LINE: Final = re.compile(r"( *)(?:- )?ACTION(\d{4})(?:: '')?")
_DEEPER: Final = re.compile(r"INDENT(?:\+(\d+))?")


class Template:
    """One template. What `action` returns stands for its text in the object that is rendered.

    As a value it becomes just that text. As an item of a list, or as a key with an empty text, it becomes
    lines at that depth. `INDENT+2` is the number of the line's spaces and two more.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []

    def action(self, text: str) -> str:
        """Return what stands for a text of Go's template language."""
        self._texts.append(text)
        return f"ACTION{len(self._texts) - 1:04}"

    def lines(self, text: str) -> dict[str, str]:
        """Return what stands for lines among the fields of an object."""
        return {self.action(text): ""}

    def either(self, condition: str, first: list[Any], second: list[Any]) -> list[Any]:
        """Return a list with the items of one of two, by a condition."""
        if first == second:
            return first
        start, between, end = (
            self.action("{{- " + text + " }}") for text in (f"if {condition}", "else", "end")
        )
        return [start, *first, between, *second, end]

    def render(self, content: Any) -> str:
        """Return YAML with all actions; braces that the content itself has stay what they are."""
        text = to_yaml(content).replace("{{", '{{ "{{" }}')
        return "".join(f"{self._filled(line)}\n" for line in text.splitlines())

    def _filled(self, line: str) -> str:
        if found := _LINE.fullmatch(line):
            indent, number = found.groups()
            return "\n".join(_deepened(indent + each) for each in self._texts[int(number)].splitlines())
        return _deepened(_MARK.sub(lambda mark: self._texts[int(mark[1])], line))


def enclosed(action: str, text: str) -> str:
    """Return text between an action, such as `if …`, and its end."""
    return "{{- " + action + " }}\n" + text.rstrip("\n") + "\n{{- end }}"


def field(name: str, value: str) -> str:
    """Return the lines of a field that is absent while a value, a text, is empty."""
    return enclosed(f"with .Values.{value}", name + ": {{ . | quote }}")


def fields(name: str, value: str) -> str:
    """Return the lines of a field that is absent while a value, a list or a map, is empty."""
    return enclosed(f"with .Values.{value}", name + ":\n  {{- toYaml . | nindent INDENT }}")


def more(value: str) -> str:
    """Return the lines that add what a value holds to a list or a map."""
    return enclosed(f"with .Values.{value}", "{{- toYaml . | nindent INDENT }}")


def whole(value: str) -> str:
    """Return the action for all that a value holds, below its field."""
    return "{{- toYaml .Values." + value + " | nindent INDENT+2 }}"


def _deepened(line: str) -> str:
    depth = len(line) - len(line.lstrip())
    return _DEEPER.sub(lambda deeper: str(depth + int(deeper[1] or 0)), line)
