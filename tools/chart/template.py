"""Helm templates made from objects: YAML in which some lines and values are actions of Go templates."""

import re
from typing import Any, Final

from tools import to_yaml

_MARK: Final = re.compile(r"ACTION(\d{4})")
_LINE: Final = re.compile(r"( *)(?:- )?ACTION(\d{4})(?:: '')?")
_DEEPER: Final = re.compile(r"INDENT(?:\+(\d+))?")


class Template:
    """One template. What `action` returns stands for its text in the object that is rendered.

    As a value it becomes just that text. As a list's item, or as a key with an empty text as value, it becomes
    lines at that depth. `INDENT+2` is the number of spaces of the line and two more.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []

    def action(self, text: str) -> str:
        """Return what stands for a text of Go's template language."""
        self._texts.append(text)
        return f"ACTION{len(self._texts) - 1:04}"

    def either(self, condition: str, first: list[Any], second: list[Any]) -> list[Any]:
        """Return a list with the items of one of two, by a condition."""
        if first == second:
            return first
        return [
            self.action(f"{{{{- if {condition} }}}}"),
            *first,
            self.action("{{- else }}"),
            *second,
            self.action("{{- end }}"),
        ]

    def only(self, condition: str, items: list[Any]) -> list[Any]:
        """Return a list whose items are there on a condition."""
        return [self.action(f"{{{{- if {condition} }}}}"), *items, self.action("{{- end }}")]

    def render(self, content: Any) -> str:
        """Return YAML with all actions; braces that the content itself has stay what they are."""
        text = to_yaml(content).replace("{{", '{{ "{{" }}')
        return "".join(f"{self._filled(line)}\n" for line in text.splitlines())

    def _filled(self, line: str) -> str:
        if found := _LINE.fullmatch(line):
            indent, number = found.groups()
            lines = self._texts[int(number)].splitlines()
            return "\n".join(_deepened(indent + each) for each in lines)
        return _deepened(_MARK.sub(lambda mark: self._texts[int(mark[1])], line))


def of_value(name: str, value: str) -> str:
    """Return the action for a field that is absent while a value, a text, is empty."""
    return f"{{{{- with .Values.{value} }}}}\n{name}: {{{{ . }}}}\n{{{{- end }}}}"


def of_values(name: str, value: str) -> str:
    """Return the action for a field that is absent while a value, a list or a map, is empty."""
    text = "{{- toYaml . | nindent INDENT }}"
    return f"{{{{- with .Values.{value} }}}}\n{name}:\n  {text}\n{{{{- end }}}}"


def more(value: str) -> str:
    """Return the action that adds what a value holds to a list or a map."""
    text = "{{- toYaml . | nindent INDENT }}"
    return f"{{{{- with .Values.{value} }}}}\n{text}\n{{{{- end }}}}"


def _deepened(line: str) -> str:
    depth = len(line) - len(line.lstrip())
    return _DEEPER.sub(lambda deeper: str(depth + int(deeper[1] or 0)), line)
