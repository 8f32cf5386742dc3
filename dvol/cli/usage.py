"""Parsing of a command line by the usage text: docopt's, made quick and strict.

The usage text is in `main`, what the commands do is in `commands`.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from dvol.errors import InvalidRequest

Arguments = dict[str, Any]

_SEE_HELP = "see 'dvol --help'"
# in git or Docker
_ELSEWHERE = {
    "create": "init",
    "delete": "rm",
    "remove": "rm",
    "revert": "reset --hard",
}  # in git or Docker


class Usage:
    """The page that `--help` shows, and the commands that are in it."""

    def __init__(self, page: str, commands: list[str]) -> None:
        self._printed = page
        self.page = re.sub(r"\n {4,}(\[[^\n]*)", r" \1", page)  # each usage on one line
        self.commands = commands
        rules = page.partition("\nExamples:\n")[0]  # not the examples: `--hard HEAD` is no value
        self._with_value = re.findall(r"(--?[a-zA-Z-]+) [A-Z]", rules)

    def parse(self, argv: list[str], options: list[str], words: list[str]) -> Arguments:
        """docopt's arguments for a command line, whose options and words are those of `sorted_out`.
        Raises InvalidRequest with one line, where docopt would print the page.

        Abbreviated options are refused: docopt takes `--har` for `--hard`, but the guard of a verb
        that loses data must be spelled out.
        """
        from docopt import DocoptExit, docopt

        known = _options(self.page)
        for option in options:
            if _short(option) not in known:
                self._misused(words, f"no such option: {option};")
        if not words or words[0] not in self.commands:
            self._misused(words, "Wrong number of arguments.")
        page = self._page_of(words[0])
        foreign = [option for option in options if _short(option) not in _options(page)]
        if foreign:
            self._misused(words, f"{foreign[0]} is no option of '{words[0]}';")
        try:
            return dict(docopt(page, argv, default_help=False))
        except DocoptExit:
            self._misused(words, self._problem(argv))

    def sorted_out(self, argv: list[str]) -> tuple[list[str], list[str]]:
        """The options of a command line, without their values, and its words."""
        options: list[str] = []
        words: list[str] = []
        rest = iter(argv)
        for word in rest:
            if word == "--":
                words += rest
            elif word.startswith("-") and word != "-":
                options.append(word.partition("=")[0])
                if word in self._with_value:
                    next(rest, None)
            else:
                words.append(word)
        return options, words

    def help(self, words: list[str]) -> str:
        """The help page of the command in `words`; if they name none, the whole page without the
        options that belong to single commands."""
        for command in words[:1]:
            if command in self.commands:
                about = re.search(rf"^  (.*\b{command}\b.*?)  +(.*)$", self._commands(), re.M)
                return f"{about[2] if about else ''}\n\n{self._page_of(command)}\n"
        head, _, rest = self._printed.partition("\nOptions:\n")
        options, _, tail = rest.partition("\n\n")
        own = set(_options(head.partition("\nCommands:\n")[0]))
        kept = [entry for entry in _entries(options) if own.isdisjoint(_options(_spelt(entry)))]
        return "\n".join([f"{head}\nOptions:", *kept, "", tail])

    def _commands(self) -> str:
        return self.page.partition("\nCommands:\n")[2].partition("\n\n")[0]

    def _problem(self, argv: list[str]) -> str:
        if argv[-1] in self._with_value:
            return f"{argv[-1]} needs a value;"
        return "Wrong number of arguments."

    def _page_of(self, command: str) -> str:
        """The page with only this command, and without options that only other commands have:
        docopt takes longer to parse the whole page than many a command takes to run."""
        usage, _, rest = self.page.partition("\nCommands:\n")
        lines = usage.splitlines()
        word = rf"(?<![-\w]){command}(?![-\w])"
        own = [line for line in lines if re.search(word, line.partition("]")[2])]
        foreign = set(_options("\n".join(line for line in lines if line not in own)))
        foreign -= set(_options("\n".join(own)))
        options = _entries(rest.partition("\nOptions:\n")[2].partition("\n\n")[0])
        kept = [entry for entry in options if foreign.isdisjoint(_options(_spelt(entry)))]
        return "\n".join(["Usage:", *own, "", "Options:", *kept])

    def _misused(self, words: list[str], problem: str) -> NoReturn:
        """Raise InvalidRequest with the command's own usage, or for a word that is no command."""
        command = next((word for word in words[:1] if word in self.commands), None)
        if command is None and words:
            problem = f"Unknown command: {words[0]};{_suggestion(words[0], self.commands)}"
        usage = re.search(rf"dvol \[options\] (.*\b{command}\b.*)", self.page)
        raise InvalidRequest(f"{problem} " + (f"usage: dvol {usage[1]}" if usage else _SEE_HELP))


def _entries(options: str) -> list[str]:
    """The options, each with its explanation, which may take several lines."""
    return re.split(r"\n(?=  -)", options)


def _spelt(entry: str) -> str:
    return entry.lstrip().partition("   ")[0]


def _options(text: str) -> list[str]:
    return re.findall(r"(?<!\w)(--[a-z-]+|-[a-zA-Z])\b", text)


def _short(option: str) -> str:
    return option if option.startswith("--") else option[:2]


def _suggestion(word: str, commands: list[str]) -> str:
    from difflib import get_close_matches  # late: needed only for an unknown command

    found = [_ELSEWHERE[word]] if word in _ELSEWHERE else get_close_matches(word, commands, 1)
    return f" did you mean '{found[0]}'?" if found else ""
